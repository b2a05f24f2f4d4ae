//! Patterns for paths as moby's patternmatcher turns them into regular expressions, matched without any: position by
//! position with the set of places in the pattern that are reached, so that no pattern costs more than a product.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`, which as in a regular expression also takes a slash
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**/` is either nothing or `Below`, the element after it.
    Directories,
    /// What ends with a slash.
    Below,
    /// `**` at the end.
    Everything,
}

impl Pattern {
    /// For whole paths, in which `**` is any number of directories. Backslashes escape.
    ///
    /// # Errors
    /// Where Go's filepath.Match finds the pattern malformed.
    pub fn of_path(text: &str) -> Result<Self, &'static str> {
        Compiler { text: text.chars().collect(), at: 0, elements: Vec::new(), paths: true }.compile()
    }

    /// For one name of a directory, as Go's filepath.Match: `**` is the same as `*`.
    ///
    /// # Errors
    /// As for [`of_path`](Self::of_path).
    pub fn of_name(text: &str) -> Result<Self, &'static str> {
        Compiler { text: text.chars().collect(), at: 0, elements: Vec::new(), paths: false }.compile()
    }

    /// The same for what is below a directory.
    pub fn below(&self, base: &str) -> Self {
        let base = base.chars().chain((!base.is_empty()).then_some('/')).map(Element::Char);
        Self { elements: base.chain(self.elements.iter().cloned()).collect() }
    }

    pub fn matches(&self, path: &str) -> bool {
        let mut reached = Reached::start(&self.elements);
        path.chars().for_each(|c| reached.step(c));
        reached.is_end()
    }

    /// The path itself, or a directory above it.
    pub fn matches_or_above(&self, path: &str) -> bool {
        let mut reached = Reached::start(&self.elements);
        for c in path.chars() {
            if c == '/' && reached.is_end() {
                return true;
            }
            reached.step(c);
            if reached.is_lost() {
                return false;
            }
        }
        reached.is_end()
    }
}

/// Before which elements the path may be.
struct Reached<'a> {
    elements: &'a [Element],
    now: Vec<bool>,
    next: Vec<bool>,
}

impl<'a> Reached<'a> {
    fn start(elements: &'a [Element]) -> Self {
        let mut start = Self { elements, now: vec![false; elements.len() + 1], next: vec![false; elements.len() + 1] };
        start.now[0] = true;
        start.skip();
        start
    }

    /// Some elements may take nothing.
    fn skip(&mut self) {
        for (at, element) in self.elements.iter().enumerate() {
            if self.now[at] {
                match element {
                    Element::Many | Element::Everything => self.now[at + 1] = true,
                    Element::Directories => (self.now[at + 1], self.now[at + 2]) = (true, true),
                    _ => {}
                }
            }
        }
    }

    fn step(&mut self, c: char) {
        self.next.fill(false);
        for (at, element) in self.elements.iter().enumerate().filter(|(at, _)| self.now[*at]) {
            let (stays, goes_on) = match element {
                Element::Char(wanted) => (false, *wanted == c),
                Element::One => (false, c != '/'),
                Element::Many => (c != '/', false),
                Element::Class { negated, ranges } => {
                    (false, ranges.iter().any(|(low, high)| (low..=high).contains(&&c)) != *negated)
                }
                Element::Directories => (false, false),
                Element::Below => (true, c == '/'),
                Element::Everything => (true, false),
            };
            self.next[at] |= stays;
            self.next[at + 1] |= goes_on;
        }
        std::mem::swap(&mut self.now, &mut self.next);
        self.skip();
    }

    fn is_end(&self) -> bool {
        self.now[self.elements.len()]
    }

    fn is_lost(&self) -> bool {
        self.now.iter().all(|reached| !reached)
    }
}

struct Compiler {
    text: Vec<char>,
    at: usize,
    elements: Vec<Element>,
    paths: bool,
}

impl Compiler {
    fn compile(mut self) -> Result<Pattern, &'static str> {
        while let Some(c) = self.next() {
            match c {
                '*' => self.star(),
                '?' => self.elements.push(Element::One),
                '[' => self.class()?,
                '\\' => {
                    let escaped = self.next().ok_or("a backslash at its end escapes nothing")?;
                    self.elements.push(Element::Char(escaped));
                }
                c => self.elements.push(Element::Char(c)),
            }
        }
        Ok(Pattern { elements: self.elements })
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn star(&mut self) {
        let is_first = self.elements.is_empty();
        if !self.paths || !self.take('*') {
            self.elements.push(Element::Many);
            return;
        }
        let has_slash = self.take('/');
        let rest = &self.text[self.at..];
        // moby compares the end of the path where nothing but plain characters follow.
        let is_suffix = is_first && !has_slash && !rest.iter().any(|c| "*?[]\\".contains(*c));
        if rest.is_empty() || is_suffix {
            self.elements.push(Element::Everything);
        } else {
            self.elements.extend([Element::Directories, Element::Below]);
        }
    }

    fn class(&mut self) -> Result<(), &'static str> {
        let negated = self.take('^');
        let mut ranges = Vec::new();
        while ranges.is_empty() || !self.take(']') {
            let low = self.bound()?;
            let high = if self.take('-') { self.bound()? } else { low };
            if low > high {
                return Err("a range in its brackets ends before it begins");
            }
            ranges.push((low, high));
        }
        self.elements.push(Element::Class { negated, ranges });
        Ok(())
    }

    fn bound(&mut self) -> Result<char, &'static str> {
        match self.next() {
            None => Err("its brackets are not closed"),
            Some('-' | ']') => Err("a - or ] in its brackets stands for no character; write a backslash before it"),
            Some('\\') => self.next().ok_or("its brackets are not closed"),
            Some(c) => Ok(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_matched_as_by_go() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("**", "abc", true),
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
            ("a???b", "a☺b", false),
            ("a[^a]b", "a☺b", true),
            ("a[^a][^a][^a]b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            (r"[\]a]", "]", true),
            (r"[\-x]", "-", true),
            (r"[x\-]", "z", false),
            ("*x", "xxx", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::of_name(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for text in
            ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[-", r"\", r"a\", "[z-a]", "ok[a-z]["]
        {
            assert!(Pattern::of_name(text).is_err() && Pattern::of_path(text).is_err(), "{text}");
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
            let found = Pattern::of_name(&pattern).unwrap().matches(&name);
            prop_assert_eq!(found, naive(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn a_match_above_is_a_match_of_a_prefix(pattern in "[ab*?/]{0,8}", path in "[ab]{1,3}(/[ab]{1,3}){0,3}") {
            let pattern = Pattern::of_path(&pattern).unwrap();
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            prop_assert_eq!(pattern.matches_or_above(&path), ends.into_iter().any(|end| pattern.matches(&path[..end])));
        }
    }
}
