use proptest::prelude::*;

use super::*;
use crate::dockerfile::{CommandForm, Dockerfile};

fn ok(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn only(line: &str) -> Kind {
    ok(&format!("FROM a\n{line}")).stages[0].instructions[0].kind.clone()
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, line, column, part) in [
        ("", 1, 1, "empty"),
        ("# only\n", 2, 1, "empty"),
        ("ARG a\n", 2, 1, "no FROM"),
        ("FROM a\nRNU make", 2, 1, "unknown instruction RNU; did you mean RUN?"),
        ("RUN a", 1, 1, "RUN before the first FROM"),
        ("FROM", 1, 1, "FROM needs"),
        ("FROM a b", 1, 8, "IMAGE AS NAME"),
        ("FROM a AS 1b", 1, 11, "cannot be the name of a stage"),
        ("FROM a\nCOPY x", 2, 1, "at least one source"),
        ("FROM a\nCOPY --form=b x y", 2, 6, "did you mean --from?"),
        ("FROM a\nCOPY --from x y", 2, 6, "--from needs a value"),
        ("FROM a\nCOPY --link=maybe x y", 2, 13, "true or false"),
        ("FROM a\nCOPY --chown=a --chown=b x y", 2, 16, "given twice"),
        ("FROM a\nENV a", 2, 5, "needs a value"),
        ("FROM a\nENV a=b c", 2, 9, "no '=' in c"),
        ("FROM a\nENV =b", 2, 5, "empty"),
        ("FROM a\nSHELL /bin/sh", 2, 7, "JSON array"),
        ("FROM a\nCMD [1]", 2, 5, "strings only"),
        ("FROM a\nRUN", 2, 1, "RUN needs"),
        ("FROM a\nRUN cat <<EOF\nx\n", 2, 9, "nothing ends this heredoc"),
        ("FROM a\nCOPY x <<EOF\nEOF\n", 2, 8, "destination"),
        ("FROM a\nONBUILD FROM b", 2, 9, "ONBUILD trigger"),
        ("FROM a\nHEALTHCHECK --interval=x CMD y", 2, 24, "duration"),
        ("FROM a\nHEALTHCHECK MAYBE", 2, 13, "CMD or NONE"),
        ("FROM a\nRUN x \\\n  # c\n  && RNU\nUSRE y", 5, 1, "did you mean USER?"),
        ("# escape=x\nFROM a", 1, 10, "escape character"),
        ("# escape=\\\n# escape=`\nFROM a", 2, 10, "given twice"),
    ] {
        let error = parse(text.as_bytes()).expect_err(text);
        assert!(error.to_string().contains(part), "{text:?}: {error}");
        assert_eq!((error.line(), error.column()), (line, column), "{text:?}: {error}");
    }
}

#[test]
fn commands_have_two_forms() {
    let form = |line| match only(line) {
        Kind::Run(command) | Kind::Cmd(command) | Kind::Entrypoint(command) => command.form,
        other => panic!("{other:?}"),
    };
    let exec = |words: &[&str]| CommandForm::Exec(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(form("RUN [\"a\", \"b c\"]"), exec(&["a", "b c"]));
    assert_eq!(form("RUN ['a']"), CommandForm::Shell("['a']".into()));
    assert_eq!(form("RUN a \\\n  && b"), CommandForm::Shell("a   && b".into()));
    assert_eq!(form("run [ -f x ] || y"), CommandForm::Shell("[ -f x ] || y".into()));
    assert_eq!(form("CMD []"), exec(&[]));
    assert_eq!(form("ENTRYPOINT"), exec(&[]));
}

#[test]
fn several_heredocs_follow_each_other() {
    let file =
        ok("FROM a\nRUN <<A cat && cat <<-'B'\n1\nA\n\t2 $x\n\tB\nCOPY <<one <<\"two\" /d/\n$x\none\ny\ntwo\nUSER u");
    let [run, copy, user] = file.stages[0].instructions.as_slice() else { panic!() };
    let contents = |i: &Instruction| i.heredocs.iter().map(crate::dockerfile::Heredoc::content).collect::<Vec<_>>();
    assert_eq!(contents(run), ["1\n", "2 $x\n"]);
    assert_eq!(run.heredocs.iter().map(|h| h.expand).collect::<Vec<_>>(), [true, false]);
    assert_eq!(contents(copy), ["$x\n", "y\n"]);
    let Kind::Copy(transfer) = &copy.kind else { panic!() };
    assert_eq!(transfer.sources.iter().map(|source| source.heredoc).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert!(matches!(user.kind, Kind::User(_)));
}

#[test]
fn what_only_looks_like_a_heredoc() {
    for line in ["RUN cat <<<x", "RUN echo $((1<<2))", "RUN echo 'a <<EOF b'", "ENV a=<<EOF", "RUN echo <<"] {
        assert!(ok(&format!("FROM a\n{line}")).stages[0].instructions[0].heredocs.is_empty(), "{line}");
    }
}

#[test]
fn words_have_their_places() {
    let text = "FROM base AS one\nCOPY --from=x \\\n  a b \\\n  /d/\nENV k=\"v w\" l=2\nLABEL old  value here ";
    let file = ok(text);
    let at = |span| file.source.get(span).to_owned();
    let [copy, env, label] = file.stages[0].instructions.as_slice() else { panic!() };
    let Kind::Copy(transfer) = &copy.kind else { panic!() };
    assert_eq!(at(transfer.sources[1].word.span), "b");
    assert_eq!(at(transfer.destination.span), "/d/");
    assert_eq!(at(copy.flag("from").unwrap().value.as_ref().unwrap().span), "x");
    assert_eq!(copy.text, "COPY --from=x   a b   /d/");
    let Kind::Env(pairs) = &env.kind else { panic!() };
    assert_eq!((at(pairs[0].value.span), at(pairs[1].key.span)), ("\"v w\"".into(), "l".into()));
    let Kind::Label(pairs) = &label.kind else { panic!() };
    assert_eq!((pairs[0].legacy, pairs[0].value.text.as_str()), (true, "value here"));
}

#[test]
fn directives_stand_at_the_start() {
    let file = ok("# syntax = docker/dockerfile:1\n# escape=`\n# other=x\nFROM a\nCOPY a `\n b");
    assert_eq!(file.directives.escape, '`');
    assert_eq!(file.directives.syntax.unwrap().text, "docker/dockerfile:1");
    assert_eq!(ok("# hello\n# escape=`\nFROM a").directives.escape, '\\');
    assert_eq!(ok("\n# escape=`\nFROM a").directives.escape, '\\');
    assert_eq!(ok("\u{feff}# escape=`\r\nFROM a\r\n").directives.escape, '`');
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_lines_make_it_panic(lines in proptest::collection::vec(
        "(FROM|RUN|COPY|ADD|ENV|ARG|LABEL|CMD|SHELL|ONBUILD|HEALTHCHECK|VOLUME|EXPOSE|#|EOF)?[ \\t]?(--[a-z]+=?)?[\\PC<\"'\\[\\]\\\\,$=é]{0,16}\\\\?", 0..12))
    {
        let text = format!("FROM a\n{}", lines.join("\n"));
        if let Err(error) = parse(text.as_bytes()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
