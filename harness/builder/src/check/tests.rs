use proptest::prelude::*;

use super::*;
use crate::{execute::State, parse};

fn found_with(text: &str, request: &BuildRequest) -> Vec<String> {
    let file = parse(text.as_bytes()).unwrap();
    let ignore = Ignore::parse(".dockerignore", b"secret\n*.log").unwrap();
    let base = |name: &str| {
        let mut state = State::scratch();
        state.set_env("FROM_BASE", "1");
        state.platform = (name == "foreign").then(|| "plan9/vax".to_owned());
        ["base", "foreign"].contains(&name).then_some(state)
    };
    let found = check(&file, &Known { request, ignore: &ignore, image: &base }).unwrap();
    found
        .iter()
        .map(|warning| format!("{} {}:{}", warning.rule, warning.diagnostic.line(), warning.diagnostic.column()))
        .collect()
}

fn found(text: &str) -> Vec<String> {
    found_with(text, &BuildRequest::default())
}

#[test]
fn a_plain_file_has_nothing() {
    let text = "# syntax=docker/dockerfile:1\nARG V=1\nFROM base AS build\nARG V\nENV A=$V B=${FROM_BASE}\nWORKDIR /w\nWORKDIR sub\nCOPY . .\nRUN echo $UNKNOWN\nFROM base\nCOPY --from=build /x /x\nEXPOSE 80/tcp\nSHELL [\"/bin/bash\", \"-c\"]\nCMD run\n";
    assert_eq!(found(text), Vec::<String>::new());
}

#[test]
fn every_rule_finds_what_it_is_for() {
    let cases = [
        ("FROM base AS Build\n", "StageNameCasing 1:14"),
        ("FROM base as build\n", "FromAsCasing 1:11"),
        ("from base AS build\n", "FromAsCasing 1:11"),
        ("FROM base\nRUN a \\\n\n  b\n", "NoEmptyContinuation 3:1"),
        ("FROM base\nRun true\nRUN true\n", "ConsistentInstructionCasing 2:1"),
        ("from base\nrun true\nRUN true\n", "ConsistentInstructionCasing 3:1"),
        ("FROM base AS a\nFROM base AS a\n", "DuplicateStageName 2:14"),
        ("FROM base AS scratch\n", "ReservedStageName 1:14"),
        ("FROM base\nCMD run it\n", "JSONArgsRecommended 2:5"),
        ("FROM base\nENTRYPOINT run it\n", "JSONArgsRecommended 2:12"),
        ("FROM base\nMAINTAINER me\n", "MaintainerDeprecated 2:1"),
        ("ARG V=1\nFROM base${VV:+x}$VV\n", "UndefinedArgInFrom 2:6"),
        ("FROM base\nWORKDIR app\n", "WorkdirRelativePath 2:9"),
        ("FROM base\nCOPY $NAME /x\n", "UndefinedVar 2:6"),
        ("FROM base\nENV A=\"b ${NAME%x}\"\n", "UndefinedVar 2:10"),
        ("FROM base\nCMD [\"a\"]\nCMD [\"b\"]\n", "MultipleInstructionsDisallowed 2:1"),
        ("FROM base\nENV A b\n", "LegacyKeyValueFormat 2:5"),
        ("FROM --platform=$TARGETPLATFORM base\n", "RedundantTargetPlatform 1:17"),
        ("FROM base\nARG API_TOKEN\n", "SecretsUsedInArgOrEnv 2:5"),
        ("FROM base\nENV db_password=x\n", "SecretsUsedInArgOrEnv 2:5"),
        ("ARG V\nFROM base:$V\n", "InvalidDefaultArgInFrom 2:6"),
        ("FROM --platform=linux/amd64 base\n", "FromPlatformFlagConstDisallowed 1:17"),
        ("FROM base\nCOPY secret /x\n", "CopyIgnoredFile 2:6"),
        ("FROM base\nADD ./a.log /x\n", "CopyIgnoredFile 2:5"),
        ("# check=experimental=all\n\n# bar the build\nFROM base AS foo\n", "InvalidDefinitionDescription 3:1"),
        ("FROM foreign\n", "InvalidBaseImagePlatform 1:6"),
        ("FROM base\nEXPOSE 80/TCP\n", "ExposeProtoCasing 2:8"),
        ("FROM base\nEXPOSE 127.0.0.1:80:80\n", "ExposeInvalidFormat 2:8"),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), [expected], "{text}");
    }
    for rule in Rule::ALL {
        assert!(cases.iter().any(|(_, expected)| expected.starts_with(&format!("{rule} "))), "{rule}");
    }
}

#[test]
fn what_looks_alike_and_is_right_is_not_found() {
    for text in [
        "FROM --platform=linux/amd64 base AS build-amd64\n",
        "FROM --platform=$BUILDPLATFORM base\n",
        "FROM base\nARG PUBLIC_KEY\nENV KEYBOARD=x\n",
        "FROM base\nENV A=${NAME:-x} B=${NAME+y}\n",
        "FROM unknown\nENV A=$FROM_SOMEWHERE\n",
        "FROM base AS a\nWORKDIR /x\nFROM a\nWORKDIR y\n",
        "FROM base\nCOPY --from=x secret /x\n",
        "FROM base\nRUN a \\\n# comment\n  b\n",
        "FROM base\nARG A\nENV B=$A HTTP=$http_proxy\n",
        "# check=experimental=all\n\n# foo is built first\nFROM base AS foo\n\n# a comment\n\nFROM base AS bar\n",
        "ARG V=3\nFROM base:$V\n",
    ] {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_directive_chooses() {
    assert_eq!(
        found("# check=skip=JSONArgsRecommended\nFROM base\nCMD x\nMAINTAINER y\n"),
        ["MaintainerDeprecated 4:1"]
    );
    assert_eq!(found("# check=skip=all\nFROM base\nCMD x\n"), Vec::<String>::new());
    let mut request = BuildRequest::default();
    request.build_args.insert(ARGUMENT.to_owned(), "skip=MaintainerDeprecated".to_owned());
    assert_eq!(found_with("# check=skip=all\nFROM base\nCMD x\nMAINTAINER y\n", &request), ["JSONArgsRecommended 3:5"]);
    let file = parse(b"# check=error=true\nFROM base\nCMD x\n").unwrap();
    let request = BuildRequest::default();
    let known = Known { request: &request, ignore: &Ignore::default(), image: &|_| None };
    let error = check(&file, &known).unwrap_err().to_string();
    assert!(error.contains("JSONArgsRecommended: Dockerfile:3:5") && error.ends_with("they found 1"), "{error}");
    let file = parse(b"# check=skip=Nosuch\nFROM base\n").unwrap();
    let error = check(&file, &known).unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:1:9: there is no check named Nosuch"), "{error}");
}

#[test]
fn a_near_name_is_told() {
    let file = parse(b"FROM base\nARG VERSION\nENV A=$VERSIN\n").unwrap();
    let request = BuildRequest::default();
    let known = Known { request: &request, ignore: &Ignore::default(), image: &|_| Some(State::scratch()) };
    let found = check(&file, &known).unwrap();
    assert!(found[0].to_string().contains("did you mean VERSION?"), "{}", found[0]);
}

proptest! {
    /// Lines of instructions with odd words.
    #[test]
    fn no_file_makes_the_checks_panic(
        lines in proptest::collection::vec(
            ("(FROM|from|ARG|ENV|COPY|ADD|EXPOSE|WORKDIR|ONBUILD|LABEL|CMD|#|USER|STOPSIGNAL|VOLUME)", "[ -~é\\\\$\\{\\}:/=\"']{0,40}"),
            0..8,
        )
    ) {
        let mut text = "FROM scratch AS a\n".to_owned();
        for (keyword, words) in lines {
            text.push_str(&format!("{keyword} {words}\n"));
        }
        let _ = check_text("Dockerfile", text.as_bytes());
    }
}
