//! Ways of cutting an instruction's arguments into words.

use std::ops::Range;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text, which for flags and JSON is not the text of the range.
    pub text: String,
    /// Where.
    pub range: Range<usize>,
}

impl Piece {
    fn of(line: &str, range: Range<usize>) -> Self {
        Self { text: line.get(range.clone()).unwrap_or_default().to_owned(), range }
    }
}

/// Cuts at spaces, whatever stands between them.
pub(super) fn at_spaces(line: &str, from: usize) -> Vec<Piece> {
    let mut words = Vec::new();
    let mut start = None;
    let rest = line.get(from..).unwrap_or_default();
    for (at, c) in rest.char_indices().map(|(at, c)| (from + at, c)).chain([(line.len(), ' ')]) {
        match (is_space(c), start) {
            (true, Some(begin)) => {
                words.push(Piece::of(line, begin..at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words
}

/// Everything from `from` on, without the space around it.
pub(super) fn rest(line: &str, from: usize) -> Piece {
    let tail = line.get(from..).unwrap_or_default();
    let start = from + (tail.len() - tail.trim_start().len());
    Piece::of(line, start..start + tail.trim().len())
}

/// Cuts at spaces that are neither quoted nor escaped; quotes and escapes stay in the words.
pub(super) fn quoted(line: &str, from: usize, escape: char) -> Vec<Piece> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let tail = line.get(from..).unwrap_or_default();
    let mut chars = tail.char_indices().map(|(at, c)| (from + at, c)).peekable();
    while let Some((at, c)) = chars.next() {
        if start.is_none() {
            if c.is_whitespace() {
                continue;
            }
            start = Some(at);
        }
        match quote {
            None if c.is_whitespace() => {
                words.extend(start.take().map(|start| Piece::of(line, start..at)));
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            // In single quotes nothing can be escaped.
            None | Some('"') if c == escape => _ = chars.next(),
            _ => {}
        }
    }
    words.extend(start.map(|start| Piece::of(line, start..line.len())));
    words
}

/// The words with two dashes before the arguments, without their quotes and escapes, and where the arguments begin.
pub(super) fn flags(line: &str, from: usize) -> (Vec<Piece>, usize) {
    let mut found = Vec::new();
    let mut at = from;
    loop {
        let tail = line.get(at..).unwrap_or_default();
        let start = at + (tail.len() - tail.trim_start().len());
        if !line.get(start..).unwrap_or_default().starts_with("--") {
            return (found, start);
        }
        let (word, end) = unquoted_word(line, start);
        if word == "--" {
            return (found, end);
        }
        found.push(Piece { text: word, range: start..end });
        at = end;
    }
}

fn unquoted_word(line: &str, start: usize) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let tail = line.get(start..).unwrap_or_default();
    let mut chars = tail.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, start + at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            // Always a backslash, whatever the escape directive says, as in BuildKit.
            _ if c == '\\' => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, line.len())
}

/// What a JSON array is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An array of strings.
    Strings(Vec<Piece>),
    /// An array with something else in it.
    Others,
    /// No JSON array.
    No,
}

/// Reads the arguments as a JSON array.
pub(super) fn json(line: &str, from: usize) -> Json {
    let text = rest(line, from);
    if !text.text.starts_with('[') {
        return Json::No;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(&text.text) else { return Json::No };
    let mut literals = string_literals(&text.text);
    let mut words = Vec::with_capacity(values.len());
    for value in values {
        let serde_json::Value::String(string) = value else { return Json::Others };
        let range = literals.next().unwrap_or(0..text.text.len());
        words.push(Piece { text: string, range: text.range.start + range.start..text.range.start + range.end });
    }
    Json::Strings(words)
}

/// Where the strings of valid JSON are, quotes included.
fn string_literals(json: &str) -> impl Iterator<Item = Range<usize>> {
    let mut bytes = json.bytes().enumerate();
    std::iter::from_fn(move || {
        let (start, _) = bytes.by_ref().find(|(_, byte)| *byte == b'"')?;
        loop {
            match bytes.next()? {
                (_, b'\\') => _ = bytes.next(),
                (end, b'"') => return Some(start..end + 1),
                _ => {}
            }
        }
    })
}

/// The characters that docker's `reWhitespace` splits at.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn quoted_words() {
        for (line, words) in [
            (r#"a=b c="d e" f='g h'i"#, vec!["a=b", r#"c="d e""#, "f='g h'i"]),
            (r"a=b\ c d", vec![r"a=b\ c", "d"]),
            (r#"a="b\" c" d"#, vec![r#"a="b\" c""#, "d"]),
            (r"a='b\' c", vec![r"a='b\'", "c"]),
            ("a=\"open end", vec!["a=\"open end"]),
            ("  ", vec![]),
            ("a\\", vec!["a\\"]),
        ] {
            assert_eq!(texts(&quoted(line, 0, '\\')), words, "{line}");
        }
    }

    #[test]
    fn flags_come_first() {
        let line = r#"--from=a --chown="b c" --x\ y -- --no d"#;
        let (found, end) = flags(line, 0);
        assert_eq!(texts(&found), ["--from=a", "--chown=b c", "--x y"]);
        assert_eq!(line[end..].trim(), "--no d");
        assert_eq!(flags("a --b", 0), (vec![], 0));
        assert_eq!(flags("--a", 0).1, 3);
    }

    #[test]
    fn json_arrays_and_what_only_looks_like_one() {
        let line = r#"CMD ["a\"b", "c"] "#;
        let Json::Strings(words) = json(line, 3) else { panic!() };
        assert_eq!(texts(&words), ["a\"b", "c"]);
        assert_eq!(&line[words[1].range.clone()], "\"c\"");
        assert_eq!(json("[1]", 0), Json::Others);
        for no in ["['a']", "[\"a\"", "a", "", "[\"a\"] b", "{\"a\": 1}"] {
            assert_eq!(json(no, 0), Json::No, "{no}");
        }
        assert_eq!(json("[]", 0), Json::Strings(vec![]));
    }
}
