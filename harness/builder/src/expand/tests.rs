use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

struct Map(BTreeMap<&'static str, &'static str>);

impl Variables for Map {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).copied()
    }
}

fn variables() -> Map {
    Map([("a", "one"), ("b", "two words"), ("empty", ""), ("p", "/x/y.tar.gz"), ("é", "accent")].into())
}

fn word(text: &str) -> Result<String, String> {
    Reading::new('\\').word(text, &variables()).map_err(|error| error.message)
}

#[test]
fn every_form_of_expansion() {
    for (text, expected) in [
        ("$a", "one"),
        ("${a}", "one"),
        ("x${a}y$a.z", "xoneyone.z"),
        ("$a_", ""),
        ("$unset|${unset}", "|"),
        ("${a:-w}", "one"),
        ("${unset:-w}", "w"),
        ("${empty:-w}", "w"),
        ("${empty-w}", ""),
        ("${unset-w}", "w"),
        ("${a:+w}", "w"),
        ("${empty:+w}", ""),
        ("${empty+w}", "w"),
        ("${unset+w}", ""),
        ("${unset:-$a}", "one"),
        ("${unset:-${empty:-${a}}}", "one"),
        ("${unset:-'a b'}", "a b"),
        ("${a:?no}", "one"),
        ("${p#*/}", "x/y.tar.gz"),
        ("${p##*/}", "y.tar.gz"),
        ("${p%.*}", "/x/y.tar"),
        ("${p%%.*}", "/x/y"),
        ("${p/y/z}", "/x/z.tar.gz"),
        ("${p//./_}", "/x/y_tar_gz"),
        ("${p/\\/x/}", "/y.tar.gz"),
        (r"\$a", "$a"),
        (r"\${a}", "${a}"),
        ("'$a'", "$a"),
        ("\"$a\"", "one"),
        (r#""\$a \x \" \\""#, r#"$a \x " \"#),
        (r"a\ b\\", r"a b\"),
        ("a\\", "a"),
        ("$", "$"),
        ("$ a$", "$ a$"),
        ("$1x", "x"),
        ("$$", ""),
        ("é$é.", "éaccent."),
        ("don\"'\"t", "don't"),
    ] {
        assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_expanded_says_where() {
    for (text, at, part) in [
        ("x${a", 1, "missing '}'"),
        ("x${", 1, "missing '}'"),
        ("${}", 0, "bad substitution"),
        ("${:}", 0, "bad substitution"),
        ("${a!b}", 0, "modifier"),
        ("${a:}", 0, "modifier"),
        ("ab${unset:?give it}", 2, "unset: give it"),
        ("${unset:?}", 0, "not allowed to be unset"),
        ("${empty:?}", 0, "not allowed to be empty"),
        ("a'b", 1, "single quote"),
        ("a\"b", 1, "double quote"),
        ("${a:-b", 0, "missing '}'"),
        ("${a#\\q}", 0, "invalid escape"),
    ] {
        let error = Reading::new('\\').word(text, &variables()).unwrap_err();
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert_eq!(error.at, at, "{text}");
    }
}

#[test]
fn words_are_cut_where_the_spaces_are_not_quoted() {
    for (text, expected) in [
        ("a b", vec!["a", "b"]),
        ("$b", vec!["two", "words"]),
        ("\"$b\"", vec!["two words"]),
        ("80 '90 91'", vec!["80", "90 91"]),
        (r"a\ b", vec!["a b"]),
        ("  ", vec![]),
    ] {
        assert_eq!(Reading::new('\\').words(text, &variables()).unwrap(), expected, "{text}");
    }
}

#[test]
fn the_escape_character_can_be_a_backtick() {
    let read = |text| Reading::new('`').word(text, &variables()).unwrap();
    assert_eq!(read(r"C:\dir\`$a"), r"C:\dir\$a");
    assert_eq!(read("\"`\"\""), "\"");
}

#[test]
fn raw_readings() {
    let raw = Reading { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Reading::new('\\') };
    let text = r#"'a' "b" \c $unset ${unset} ${unset:-x}"#;
    assert_eq!(raw.word(text, &Nothing).unwrap(), text);
    let heredoc = Reading::heredoc();
    assert_eq!(heredoc.word("it's \"$a\" \\$a", &variables()).unwrap(), "it's \"one\" $a");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "${x:-".repeat(100_000);
    assert!(word(&deep).unwrap_err().contains("nested"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\PC$\\{\\}'\"\\\\:/#%?*-]{0,40}") {
        for how in [Reading::new('\\'), Reading::new('`'), Reading::heredoc()] {
            let _ = how.word(&text, &variables());
            let _ = how.words(&text, &Nothing);
        }
    }

    #[test]
    fn text_without_special_characters_stays(text in "[a-zA-Z0-9 ./=:,é-]{0,40}") {
        prop_assert_eq!(word(&text), Ok(text));
    }
}
