/// The patterns of `${name#pattern}`: `*`, `?`, and characters; neither matches the end of a line.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Many,
    One,
    Just(char),
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Many,
                '?' => Part::One,
                '\\' => match chars.next() {
                    Some(escaped @ ('}' | '/' | '*' | '?' | '\\')) => Part::Just(escaped),
                    Some(other) => return Err(format!("invalid escape \"\\{other}\" in a pattern")),
                    None => return Err("a pattern ends in an escape character".to_owned()),
                },
                c => Part::Just(c),
            });
        }
        Ok(Self(parts))
    }

    /// The ends of all beginnings of `value` that match, in bytes.
    fn ends(&self, value: &str) -> Vec<usize> {
        // One row of "how many parts can be used up" for each place in the value.
        let mut row = vec![false; self.0.len() + 1];
        row[0] = true;
        self.skip_many(&mut row);
        let mut ends = Vec::new();
        for (at, c) in value.char_indices().map(|(at, c)| (at, Some(c))).chain([(value.len(), None)]) {
            if row[self.0.len()] {
                ends.push(at);
            }
            let Some(c) = c else { break };
            let mut next = vec![false; row.len()];
            for (index, part) in self.0.iter().enumerate().filter(|(index, _)| row[*index]) {
                match part {
                    Part::Many => next[index] |= c != '\n',
                    Part::One => next[index + 1] |= c != '\n',
                    Part::Just(just) => next[index + 1] |= c == *just,
                }
            }
            self.skip_many(&mut next);
            if !next.contains(&true) {
                break;
            }
            row = next;
        }
        ends
    }

    /// A star may stand for nothing.
    fn skip_many(&self, row: &mut [bool]) {
        for (index, part) in self.0.iter().enumerate() {
            if row[index] && *part == Part::Many {
                row[index + 1] = true;
            }
        }
    }

    pub fn without_prefix<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let ends = self.ends(value);
        let end = if longest { ends.last() } else { ends.first() };
        end.and_then(|end| value.get(*end..)).unwrap_or(value)
    }

    pub fn without_suffix<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let mirrored = Self(self.0.iter().rev().copied().collect());
        let backwards: String = value.chars().rev().collect();
        let ends = mirrored.ends(&backwards);
        let end = if longest { ends.last() } else { ends.first() };
        end.and_then(|end| value.get(..value.len() - end)).unwrap_or(value)
    }

    pub fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let mut result = String::new();
        let mut rest = value;
        while let Some(c) = rest.chars().next() {
            match self.ends(rest).last().copied().filter(|end| *end > 0) {
                Some(end) => {
                    result.push_str(replacement);
                    rest = &rest[end..];
                    if !all {
                        break;
                    }
                }
                None => {
                    result.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        result + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn prefixes_and_suffixes() {
        for (text, value, shortest, longest) in [
            ("*/", "a/b/c", "b/c", "c"),
            ("a?", "abc", "c", "c"),
            ("x*", "abc", "abc", "abc"),
            ("*", "abc", "abc", ""),
            ("é", "éa", "a", "a"),
        ] {
            assert_eq!(pattern(text).without_prefix(value, false), shortest, "{text}");
            assert_eq!(pattern(text).without_prefix(value, true), longest, "{text}");
        }
        for (text, value, shortest, longest) in [
            (".*", "a.tar.gz", "a.tar", "a"),
            ("/*", "/a/b", "/a", ""),
            ("\\*", "a*", "a", "a"),
            ("?é", "aéé", "a", "a"),
        ] {
            assert_eq!(pattern(text).without_suffix(value, false), shortest, "{text}");
            assert_eq!(pattern(text).without_suffix(value, true), longest, "{text}");
        }
    }

    #[test]
    fn replacements() {
        assert_eq!(pattern("a").replace("banana", "o", false), "bonana");
        assert_eq!(pattern("a").replace("banana", "o", true), "bonono");
        assert_eq!(pattern("n*n").replace("banana", "N", true), "baNa");
        assert_eq!(pattern("").replace("ab", "x", true), "ab");
    }

    #[test]
    fn odd_escapes_are_refused() {
        assert!(Pattern::new("\\a").is_err());
        assert!(Pattern::new("a\\").is_err());
    }
}
