use proptest::prelude::*;

use super::*;

fn excludes(text: &str, path: &str) -> bool {
    Ignore::parse(".dockerignore", text.as_bytes()).unwrap().excludes(Path::new(path))
}

#[track_caller]
fn check(cases: &[(&str, &str, bool)]) {
    for (text, path, expected) in cases {
        assert_eq!(excludes(text, path), *expected, "{text:?} {path}");
    }
}

#[test]
fn names_and_what_is_below_them() {
    check(&[
        ("build", "build", true),
        ("build", "build/x/y", true),
        ("build", "builds", false),
        ("build", "sub/build", false),
        ("/build/", "build", true),
        ("./a/../b", "b", true),
        ("a/./b//c", "a/b/c", true),
        ("x.y", "xzy", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("dist/p-2.4.0rc3.dev36+g08-py3.whl", "dist/p-2.4.0rc3.dev36+g08-py3.whl", true),
        (".", "a", false),
        ("/", "a", false),
    ]);
}

#[test]
fn what_leads_out_matches_nothing() {
    check(&[("../c", "c", false), ("a/../../c", "c", false), ("/../c", "c", true), ("..", "c", false)]);
}

#[test]
fn stars_within_a_name() {
    check(&[
        ("*", "a", true),
        ("*", "a/b", true),
        ("*/temp*", "x/temporary.txt", true),
        ("*/temp*", "x/y/temp", false),
        ("*/*", "a", false),
        ("*.whl", "a.whl", true),
        ("*.whl", "d/a.whl", false),
        ("d/*.whl", "d/a.whl", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a?b", "a/b", false),
        ("a*b", "a/b", false),
        ("a*/b", "a/c/b", false),
        ("[ab]*", "b/x", true),
        ("[^ab]*", "b", false),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        (r"a\\", r"a\", true),
    ]);
}

#[test]
fn two_stars_are_any_number_of_directories() {
    check(&[
        ("**", "anything/at/all", true),
        ("**/", "anything/at/all", true),
        ("**/**", "a/b", true),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("**/dir", "x/dir/below", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2", false),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**/**/*.txt", "a/b/c.txt", true),
        ("**/file*txt", "a/file1txt", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "ab", false),
        // What is below a directory, and not the directory.
        ("a/**", "a", false),
        ("a/**", "a/b", true),
        ("a/**", "a/b/c", true),
        ("a*/**", "ab", false),
        ("a*/**", "ab/c", true),
        // Beside other characters.
        ("a**", "abc/d", true),
        ("a**/*.txt", "a/b.txt", true),
        ("a**/*.txt", "ax/y/b.txt", true),
        ("a**/*.txt", "b/a.txt", false),
        ("**.log", "f.log", true),
        ("**.log", "sub/deep/f.log", true),
        ("**file", "a/myfile", true),
        ("**f*e", "a/myfile", false),
        ("**f*e", "a/file", true),
    ]);
}

#[test]
fn the_last_match_decides() {
    check(&[
        ("*.md\n!README.md", "README.md", false),
        ("!README.md\n*.md", "README.md", true),
        ("docs\n!docs/keep.txt", "docs/keep.txt", false),
        ("docs\n!docs/keep.txt", "docs/other.txt", true),
        ("docs\n! docs/keep.txt", "docs/keep.txt", false),
        ("**\n!util/web", "util/web/foo", false),
        ("**\n!util/web\nutil/web/foo", "util/web/foo", true),
        ("**\n!d/*.whl", "d/p-2.4.0rc3.dev36+g08.whl", false),
        ("a\n!a/b/../c", "a/c", false),
    ]);
}

#[test]
fn lines_and_comments() {
    check(&[
        ("# comment\n  spaced  ", "spaced", true),
        ("#x\n #y", "#y", true),
        ("#x", "#x", false),
        ("\u{feff}a\r\nb\r\n", "a", true),
        ("\u{feff}a\r\nb\r\n", "b", true),
        ("\n\n  \n", "a", false),
    ]);
}

#[test]
fn malformed_patterns_are_pointed_at() {
    for (text, shown) in [
        ("ok\n  [a-\n", ".dockerignore:2:3: \"[a-\" is no pattern: its brackets are not closed"),
        ("!", ".dockerignore:1:1: ! takes nothing back"),
        ("a\n! \n", ".dockerignore:2:1: ! takes nothing back"),
        ("a\\", ".dockerignore:1:1: \"a\\\\\" is no pattern: a backslash at its end"),
        ("[Local-Only]/", ".dockerignore:1:1: \"[Local-Only]/\" is no pattern: a range"),
    ] {
        let error = Ignore::parse(".dockerignore", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(shown) && error.contains("^"), "{error}");
    }
    let error = Ignore::parse("x.dockerignore", b"a\n\xff").unwrap_err();
    assert_eq!((error.line(), error.column()), (2, 1));
}

#[test]
fn more_patterns_stand_below_a_directory() {
    let ignore = Ignore::parse("f", b"a/x").unwrap();
    let more = Ignore::of(&["*.txt".to_owned(), "!x".to_owned()]).unwrap();
    let both = ignore.with_more(Path::new("a"), &more);
    for (path, expected) in [("a/x", true), ("a/1.txt", true), ("a/b/1.txt", false), ("1.txt", false), ("a/y", false)] {
        assert_eq!(both.excludes(Path::new(path)), expected, "{path}");
    }
    assert_eq!(Ignore::of(&["a".to_owned(), "[".to_owned()]).unwrap_err().0, 1);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(.|\n|[*?!/\\[\\]^-]){0,60}", path in "[a-z/.]{0,20}") {
        if let Ok(ignore) = Ignore::parse("f", text.as_bytes()) {
            let _ = ignore.excludes(Path::new(&path));
        }
    }
}
