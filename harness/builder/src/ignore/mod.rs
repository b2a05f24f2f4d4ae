//! `.dockerignore`, as moby's patternmatcher reads it, which is not as git reads .gitignore.
//!
//! Patterns are rooted at the context; a pattern that matches a directory takes what is below it; the last pattern that
//! matches decides, and `!` takes back. Wildcards are those of Go's filepath.Match, and `**` is any number of
//! directories. (Dockerfile reference, ".dockerignore file".)

use std::path::Path;

/// What a `.dockerignore` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// `**` or a wildcard for one name.
    parts: Vec<String>,
    takes_back: bool,
}

impl Ignore {
    /// Reads the file's text. Comments start with `#` in the first column; white space around a pattern, leading slashes,
    /// `.` and `..` are cleaned away.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        let pattern = |line: &str| {
            let (takes_back, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let mut parts: Vec<String> = Vec::new();
            for part in line.split('/') {
                match part {
                    "" | "." => {}
                    ".." => _ = parts.pop(),
                    // A doubled `**` says nothing more.
                    "**" if parts.last().is_some_and(|last| last == "**") => {}
                    part => parts.push(part.to_owned()),
                }
            }
            (!parts.is_empty()).then_some(Pattern { parts, takes_back })
        };
        Self { patterns: lines.filter_map(pattern).collect() }
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The same, and patterns that are rooted at `base`; those stand last, so that nothing takes back what they leave out
    /// but they themselves.
    #[must_use]
    pub fn with_more(&self, base: &Path, patterns: &[String]) -> Self {
        let base: Vec<String> = base.components().map(|name| literal(&name.as_os_str().to_string_lossy())).collect();
        let mut all = self.patterns.clone();
        for mut pattern in Self::parse(&patterns.join("\n")).patterns {
            pattern.parts.splice(0..0, base.iter().cloned());
            all.push(pattern);
        }
        Self { patterns: all }
    }

    /// Whether a path of the context, relative to it, is left out.
    #[must_use]
    pub fn excludes(&self, path: &Path) -> bool {
        let names: Vec<_> = path.components().map(|name| name.as_os_str().to_string_lossy()).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let mut excluded = false;
        for pattern in &self.patterns {
            // A pattern can only change the answer one way.
            if pattern.takes_back == excluded && pattern.matches(&names) {
                excluded = !pattern.takes_back;
            }
        }
        excluded
    }

    /// Whether something below an excluded directory may be taken back, so that it must be looked into.
    #[must_use]
    pub fn takes_something_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.takes_back)
    }
}

/// A name as a pattern that matches only it.
fn literal(name: &str) -> String {
    name.chars().flat_map(|c| "*?[\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

impl Pattern {
    /// The path itself or a directory above it.
    fn matches(&self, names: &[&str]) -> bool {
        (1..=names.len()).any(|length| matches(&self.parts, &names[..length]))
    }
}

/// Position by position with the set of reachable ones, so that many `**` cost no more than a product.
fn matches(parts: &[String], names: &[&str]) -> bool {
    let mut reachable = vec![false; names.len() + 1];
    reachable[0] = true;
    for part in parts {
        let mut next = vec![false; names.len() + 1];
        if part == "**" {
            let first = reachable.iter().position(|reachable| *reachable);
            if let Some(first) = first {
                next[first..].fill(true);
            }
        } else {
            for at in 0..names.len() {
                next[at + 1] = reachable[at] && wildcard(part, names[at]);
            }
        }
        reachable = next;
    }
    reachable[names.len()]
}

/// Go's filepath.Match for one name: `*`, `?`, `[a-z]`, `[^a-z]` and a backslash before any of them. A malformed
/// pattern matches nothing.
pub fn wildcard(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p == pattern.len() && n == name.len() {
            return true;
        }
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        let step = if p < pattern.len() { one(&pattern[p..], name.get(n).copied()) } else { Some((false, 0)) };
        match step {
            // Malformed.
            None => return false,
            Some((true, length)) => {
                p += length;
                n += 1;
            }
            // Back to the last star, which takes one more.
            Some((false, _)) => match star {
                Some((at, taken)) if taken < name.len() => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                _ => return false,
            },
        }
    }
}

/// Whether the first element of the pattern takes this character, and how long the element is.
fn one(pattern: &[char], c: Option<char>) -> Option<(bool, usize)> {
    match pattern[0] {
        '?' => Some((c.is_some(), 1)),
        '[' => class(pattern, c),
        '\\' => pattern.get(1).map(|plain| (c == Some(*plain), 2)),
        plain => Some((c == Some(plain), 1)),
    }
}

fn class(pattern: &[char], c: Option<char>) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let mut found = false;
    let mut first = true;
    loop {
        if pattern.get(at) == Some(&']') && !first {
            return Some((c.is_some() && found != negated, at + 1));
        }
        first = false;
        let low = bound(pattern, &mut at)?;
        let mut high = low;
        if pattern.get(at) == Some(&'-') {
            at += 1;
            high = bound(pattern, &mut at)?;
        }
        found |= c.is_some_and(|c| (low..=high).contains(&c));
    }
}

fn bound(pattern: &[char], at: &mut usize) -> Option<char> {
    let mut c = *pattern.get(*at)?;
    if c == '-' || c == ']' {
        return None;
    }
    *at += 1;
    if c == '\\' {
        c = *pattern.get(*at)?;
        *at += 1;
    }
    Some(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_are_gos() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*b*c*d*e*", "axbxcxdxexxx", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^e-g]", "abc", true),
            ("ab[^c]", "abc", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("[a-ζ]*", "α", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[a", "a", false),
            (r"\", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(wildcard(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_are_rooted_and_the_last_one_decides() {
        let cases: &[(&str, &str, bool)] = &[
            ("*.md", "a.md", true),
            ("*.md", "sub/a.md", false),
            ("**/*.md", "sub/deep/a.md", true),
            ("**/*.md", "a.md", true),
            ("/build", "build/x/y", true),
            ("build/", "build", true),
            ("./a/../b", "b", true),
            ("*/temp*", "x/temporary.txt", true),
            ("*/temp*", "x/y/temp", false),
            ("*.md\n!README.md", "README.md", false),
            ("!README.md\n*.md", "README.md", true),
            ("docs\n!docs/keep.txt", "docs/keep.txt", false),
            ("docs\n!docs/keep.txt", "docs/other.txt", true),
            ("# comment\n  spaced  ", "spaced", true),
            ("**", "anything/at/all", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**", "a", true),
        ];
        for (text, path, expected) in cases {
            assert_eq!(Ignore::parse(text).excludes(Path::new(path)), *expected, "{text:?} {path}");
        }
    }

    /// The same by plain recursion.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some('*'), _) => naive(&pattern[1..], name) || (!name.is_empty() && naive(pattern, &name[1..])),
            (Some('?'), Some(_)) => naive(&pattern[1..], &name[1..]),
            (Some(p), Some(n)) => p == n && naive(&pattern[1..], &name[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_match_as_plain_recursion_does(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(wildcard(&pattern, &name), naive(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(.|\n|[*?!/\\[\\]^-]){0,60}", path in "[a-z/.]{0,20}") {
            let _ = Ignore::parse(&text).excludes(Path::new(&path));
        }
    }
}
