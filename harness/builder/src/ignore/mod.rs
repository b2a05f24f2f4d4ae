//! `.dockerignore`, as moby's patternmatcher reads it, which is not as git reads .gitignore.
//!
//! Patterns are rooted at the context; a pattern that matches a directory takes what is below it; the last pattern that
//! matches decides, and `!` takes back. Wildcards are those of Go's filepath.Match, and `**` is any number of
//! directories. (Dockerfile reference, ".dockerignore file".)

mod pattern;

use std::path::Path;

pub use self::pattern::Pattern;
use crate::{Diagnostic, Source, Span};

/// What a `.dockerignore` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
    /// What these leave out, the others do not take back.
    more: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    takes_back: bool,
}

impl Ignore {
    /// Reads a file's content; `name` is its name in messages. Comments start with `#` in the first column; white space
    /// around a pattern, leading slashes, `.` and `..` are cleaned away.
    ///
    /// # Errors
    /// The first pattern that is malformed.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self, Diagnostic> {
        let source = Source::new(name, content)?;
        let (mut rules, mut start) = (Vec::new(), 0);
        for line in source.text().split_inclusive('\n') {
            let text = line.trim();
            if !line.starts_with('#') && !text.is_empty() {
                let begin = start + line.find(text).unwrap_or(0);
                let span = Span::new(begin, begin + text.len());
                rules.push(Rule::read(text).map_err(|why| source.error(span, why))?);
            }
            start += line.len();
        }
        Ok(Self { rules, more: Vec::new() })
    }

    /// Of single patterns, such as those of `--exclude`.
    ///
    /// # Errors
    /// The number of the first that is malformed, and why it is.
    pub fn of(patterns: &[String]) -> Result<Self, (usize, String)> {
        let read = |(number, text): (usize, &String)| Rule::read(text.trim()).map_err(|why| (number, why));
        Ok(Self { rules: patterns.iter().enumerate().map(read).collect::<Result<_, _>>()?, more: Vec::new() })
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.more.is_empty()
    }

    /// The same, and what another one says of what is below `base`.
    #[must_use]
    pub fn with_more(&self, base: &Path, other: &Self) -> Self {
        let base = as_text(base);
        let mut all = self.clone();
        let below = |rule: &Rule| Rule { pattern: rule.pattern.below(&base), takes_back: rule.takes_back };
        all.more.extend(other.rules.iter().map(below));
        all
    }

    /// Whether a path of the context, relative to it, is left out.
    #[must_use]
    pub fn excludes(&self, path: &Path) -> bool {
        let path = as_text(path);
        !path.is_empty() && [&self.rules, &self.more].into_iter().any(|rules| decide(rules, &path))
    }

    /// Whether something below an excluded directory may be taken back, so that it must be looked into.
    #[must_use]
    pub fn takes_something_back(&self) -> bool {
        self.rules.iter().chain(&self.more).any(|rule| rule.takes_back)
    }
}

fn decide(rules: &[Rule], path: &str) -> bool {
    let mut excluded = false;
    for rule in rules {
        // A pattern can only change the answer one way.
        if rule.takes_back == excluded && rule.pattern.matches_or_above(path) {
            excluded = !rule.takes_back;
        }
    }
    excluded
}

/// With slashes between the names; what is no text cannot be named by a pattern.
fn as_text(path: &Path) -> String {
    let names: Vec<_> = path.components().map(|name| name.as_os_str().to_string_lossy()).collect();
    names.join("/")
}

impl Rule {
    fn read(text: &str) -> Result<Self, String> {
        let (takes_back, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim()));
        if takes_back && rest.is_empty() {
            return Err("! takes nothing back; a pattern belongs after it".to_owned());
        }
        let pattern = Pattern::of_path(&clean(rest)).map_err(|why| format!("{rest:?} is no pattern: {why}"))?;
        Ok(Self { pattern, takes_back })
    }
}

/// As Go's path.Clean, and without a leading slash. A pattern that leads out of the context matches nothing there.
fn clean(text: &str) -> String {
    let is_rooted = text.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => _ = names.pop(),
            ".." if is_rooted => {}
            name => names.push(name),
        }
    }
    if names.is_empty() { ".".to_owned() } else { names.join("/") }
}

#[cfg(test)]
mod tests;
