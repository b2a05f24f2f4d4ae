use proptest::prelude::*;

use super::*;

fn kinds(text: &str) -> Vec<Kind> {
    let file = parse(text.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    file.stages.into_iter().flat_map(|stage| stage.instructions).map(|instruction| instruction.kind).collect()
}

fn wrong(text: &str) -> String {
    parse(text.as_bytes()).expect_err(text).to_string()
}

fn shell(text: &str) -> CommandLine {
    CommandLine::Shell(text.to_owned())
}

#[test]
fn continuations_comments_and_case() {
    let found = kinds("from x\nrun a \\\n# a comment within\n\n  b \\\n c\nCmd [\"x\", \"y\"]\n");
    assert_eq!(found[0], Kind::Run(shell("a   b  c")));
    assert_eq!(found[1], Kind::Cmd(CommandLine::Exec(vec!["x".into(), "y".into()])));
}

#[test]
fn the_escape_directive_only_counts_at_the_top() {
    assert_eq!(kinds("# escape=`\nFROM x\nRUN a `\nb\\\n")[0], Kind::Run(shell("a b\\")));
    assert_eq!(kinds("# a comment\n# escape=`\nFROM x\nRUN a \\\nb\n")[0], Kind::Run(shell("a b")));
    assert!(wrong("# escape=x\nFROM x").contains("Dockerfile:1:1"));
}

#[test]
fn a_list_that_is_no_json_is_a_shell_line() {
    assert_eq!(kinds("FROM x\nRUN ['a', 'b']")[0], Kind::Run(shell("['a', 'b']")));
    assert_eq!(kinds("FROM x\nRUN [\"a\", ]")[0], Kind::Run(shell("[\"a\", ]")));
}

#[test]
fn pairs_in_both_forms() {
    let pairs = |text: &str| match &kinds(&format!("FROM x\nENV {text}"))[0] {
        Kind::Env(pairs) => pairs.clone(),
        other => panic!("{other:?}"),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(pairs("A=1 B=\"two words\" C=x\\ y"), [pair("A", "1"), pair("B", "\"two words\""), pair("C", "x\\ y")]);
    assert_eq!(pairs("A the whole rest = this"), [pair("A", "the whole rest = this")]);
}

#[test]
fn copies_with_flags_and_lists() {
    let copy = |text: &str| match &kinds(&format!("FROM x\n{text}"))[0] {
        Kind::Copy(copy) => copy.clone(),
        other => panic!("{other:?}"),
    };
    let found = copy("COPY --from=build --chown=1:2 --chmod=755 a b /c/");
    assert_eq!(found.source, CopySource::From("build".into()));
    assert_eq!((found.owner.as_deref(), found.mode.as_deref()), (Some("1:2"), Some("755")));
    assert_eq!((found.sources, found.target.as_str()), (vec!["a".to_owned(), "b".to_owned()], "/c/"));
    assert_eq!(copy("COPY [\"a file\", \"/to here\"]").sources, ["a file"]);
    assert!(copy("ADD x.tar /").unpack);
}

#[test]
fn here_documents_of_run() {
    assert_eq!(kinds("FROM x\nRUN <<EOF\none\ntwo\nEOF\nCMD x")[0], Kind::Run(shell("one\ntwo\n")));
    let found = kinds("FROM x\nRUN cat <<-A <<B\n\tone\n\tA\ntwo\nB\n");
    assert_eq!(found[0], Kind::Run(shell("cat <<-A <<B\none\nA\ntwo\nB\n")));
    assert!(wrong("FROM x\nRUN <<EOF\none\n").contains("does not end"));
}

#[test]
fn what_is_wrong_is_shown_where_it_is() {
    let cases = [
        (
            "FROM x\nRUM ls",
            "Dockerfile:2:1: unknown instruction RUM\n    2 | RUM ls\n      | ^^^\n      = did you mean RUN?",
        ),
        (
            "FROM x\nCOPY --frm=a \\\n  b c",
            "Dockerfile:2:6: unknown flag --frm\n    2 | COPY --frm=a \\\n      |      ^^^^^^^\n      = there are --chown, --chmod, --from",
        ),
        ("RUN x", "Dockerfile:1:1: RUN before the first FROM"),
        ("", "Dockerfile:1:1: there is no FROM"),
        ("FROM x\nHEALTHCHECK CMD x", "Dockerfile:2:1: HEALTHCHECK is not supported yet"),
        ("FROM x\nONBUILD RUN x", "Dockerfile:2:1: ONBUILD is not supported yet"),
        ("FROM x\nRUN --mount=type=cache,target=/x ls", "Dockerfile:2:5: the flag --mount is not supported yet"),
        ("FROM x\nADD https://example.com/x /x", "Dockerfile:2:5: ADD of URLs"),
        ("FROM x\nCOPY a", "Dockerfile:2:6: COPY needs a source and a target"),
        ("FROM x\nCOPY <<EOF /x\nhello\nEOF", "Dockerfile:2:6: COPY of a here-document"),
        ("FROM x\nENV A=\"b", "Dockerfile:2:7: this \" is not closed"),
        ("FROM x as\n", "Dockerfile:1:8: FROM takes an image and a name"),
        ("FROM x AS a\nFROM y AS A", "Dockerfile:2:1: there is another stage named a"),
        ("FROM --platform=linux/s390x x", "Dockerfile:1:6: the flag --platform is not supported yet"),
        ("FROM x\nRUN", "Dockerfile:2:1: RUN needs an argument"),
    ];
    for (text, expected) in cases {
        let found = wrong(text);
        assert!(found.starts_with(expected), "for {text:?}:\n{found}\nexpected:\n{expected}");
    }
}

#[test]
fn places_count_characters_and_follow_continuations() {
    let found = wrong("FROM x\nLABEL ä=1 \\\n  ö\n");
    assert!(found.starts_with("Dockerfile:3:3: ö is not NAME=VALUE"), "{found}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(FROM x\n)?([A-Z]{2,6} )?(.|\n|\\\\\n|<<A|\"|\\[|=|--from=){0,80}") {
        if let Err(wrong) = parse(text.as_bytes()) {
            prop_assert!(!wrong.to_string().is_empty());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes).map_err(|wrong| wrong.to_string());
    }
}
