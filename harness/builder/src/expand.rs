//! Variables in a Dockerfile's words, as docker's shell lexer expands them.
//!
//! `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME-word}`, `${NAME:+word}`, `${NAME+word}`, `${NAME:?word}`, `${NAME?word}`,
//! `${NAME#pattern}`, `##`, `%`, `%%`, `${NAME/pattern/word}` and `//`; quotes are taken away, and within single quotes
//! nothing is expanded. (Dockerfile reference, "Environment replacement".)

use crate::ignore::wildcard;

/// What a variable is worth; `None` when it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands one word and takes its quotes away.
///
/// # Errors
/// In a person's words.
pub fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expander = Expander { chars: text.chars().collect(), at: 0, escape, lookup, depth: 0 };
    expander.until(None)
}

/// Words nest by recursion, and a file is not trusted.
const DEEPEST: usize = 32;

struct Expander<'a> {
    chars: Vec<char>,
    at: usize,
    escape: char,
    lookup: Lookup<'a>,
    depth: usize,
}

impl Expander<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// Up to and with `stop`, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.next() {
            match c {
                _ if Some(c) == stop => return Ok(out),
                '\'' => self.single_quoted(&mut out)?,
                '"' => self.double_quoted(&mut out)?,
                '$' => out.push_str(&self.variable()?),
                _ if c == self.escape => out.extend(self.next()),
                _ => out.push(c),
            }
        }
        stop.map_or(Ok(out), |stop| Err(format!("a {stop} is missing")))
    }

    fn single_quoted(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => out.push(c),
                None => return Err("a ' is not closed".to_owned()),
            }
        }
    }

    fn double_quoted(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$') => out.push_str(&self.variable()?),
                Some(c) if c == self.escape => match self.next() {
                    // Only these lose the escape within double quotes.
                    Some(next @ ('"' | '$')) => out.push(next),
                    Some(next) if next == self.escape => out.push(next),
                    Some(next) => out.extend([c, next]),
                    None => return Err("a \" is not closed".to_owned()),
                },
                Some(c) => out.push(c),
                None => return Err("a \" is not closed".to_owned()),
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let first_digit = name.is_empty() && c.is_ascii_digit();
            if !(c == '_' || c.is_ascii_alphanumeric()) || first_digit {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        name
    }

    fn variable(&mut self) -> Result<String, String> {
        if self.peek() != Some('{') {
            let name = self.name();
            // A lone $ is a $.
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.lookup)(&name).unwrap_or_default() });
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("variables are nested more than {DEEPEST} deep"));
        }
        let name = self.name();
        if name.is_empty() {
            return Err("${ needs the name of a variable".to_owned());
        }
        let value = (self.lookup)(&name);
        let expanded = match self.next() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let operator = self.next();
                self.conditional(&name, value.filter(|value| !value.is_empty()), operator)
            }
            Some(operator @ ('-' | '+' | '?')) => self.conditional(&name, value, Some(operator)),
            Some(operator @ ('#' | '%')) => self.stripped(value.unwrap_or_default(), operator),
            Some('/') => self.replaced(&value.unwrap_or_default()),
            _ => Err(format!("${{{name} is not closed, or has an unknown modifier")),
        };
        self.depth -= 1;
        expanded
    }

    fn conditional(&mut self, name: &str, value: Option<String>, operator: Option<char>) -> Result<String, String> {
        let word = self.until(Some('}'))?;
        match (operator, value) {
            (Some('-'), value) => Ok(value.unwrap_or(word)),
            (Some('+'), value) => Ok(if value.is_some() { word } else { String::new() }),
            (Some('?'), Some(value)) => Ok(value),
            (Some('?'), None) if word.is_empty() => Err(format!("the variable {name} is not set")),
            (Some('?'), None) => Err(format!("the variable {name} is not set: {word}")),
            _ => Err(format!("${{{name}: has an unknown modifier; there are :- :+ and :?")),
        }
    }

    /// `#` and `##` take the shortest and longest match off the front, `%` and `%%` off the end.
    fn stripped(&mut self, value: String, operator: char) -> Result<String, String> {
        let longest = self.peek() == Some(operator);
        self.at += usize::from(longest);
        let pattern = self.until(Some('}'))?;
        let ends = value.char_indices().map(|(at, _)| at).chain([value.len()]);
        let fits = |at: &usize| {
            let part = if operator == '#' { &value[..*at] } else { &value[*at..] };
            wildcard(&pattern, part)
        };
        let mut cuts: Vec<usize> = ends.filter(fits).collect();
        // The longest match off the front is the last cut; off the end it is the first.
        if longest == (operator == '#') {
            cuts.reverse();
        }
        Ok(match cuts.first() {
            Some(&at) if operator == '#' => value[at..].to_owned(),
            Some(&at) => value[..at].to_owned(),
            None => value,
        })
    }

    fn replaced(&mut self, value: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let pattern = self.until(Some('/'))?;
        let with = self.until(Some('}'))?;
        if pattern.is_empty() {
            return Ok(value.to_owned());
        }
        let mut out = String::new();
        let mut rest = value;
        'next: while !rest.is_empty() {
            let ends: Vec<usize> = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev().collect();
            for end in ends {
                if wildcard(&pattern, &rest[..end]) {
                    out.push_str(&with);
                    rest = &rest[end..];
                    if all {
                        continue 'next;
                    }
                    out.push_str(rest);
                    return Ok(out);
                }
            }
            let first = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..first]);
            rest = &rest[first..];
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "v" => Some("value".to_owned()),
            "p" => Some("/usr/local/bin/x.tar.gz".to_owned()),
            "e" => Some(String::new()),
            _ => None,
        }
    }

    fn with_backslash(text: &str) -> Result<String, String> {
        expand(text, '\\', &lookup)
    }

    #[test]
    fn forms_of_the_reference() {
        let cases = [
            ("plain", "plain"),
            ("$v-${v}x$none.", "value-valuex."),
            ("${none:-word} ${none-word} ${e:-word} ${e-word}", "word word word "),
            ("${v:+word} ${none:+word} ${e:+word} ${e+word}", "word   word"),
            ("${v:?no} ${none:-${v}} ${none:-$v}", "value value value"),
            ("${p#*/}|${p##*/}", "usr/local/bin/x.tar.gz|x.tar.gz"),
            ("${p%.*}|${p%%.*}", "/usr/local/bin/x.tar|/usr/local/bin/x"),
            ("${p/bin/sbin}|${p//a/o}", "/usr/local/sbin/x.tar.gz|/usr/locol/bin/x.tor.gz"),
            (r"\$v \\ \x", r"$v \ x"),
            (r#"'$v' "$v" "\$v \x""#, r"$v value $v \x"),
            ("100$ a$", "100$ a$"),
            ("$1", "$1"),
        ];
        for (text, expected) in cases {
            assert_eq!(with_backslash(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expand("`$v", '`', &lookup).as_deref(), Ok("$v"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in ["${v", "${", "${:-x}", "${v!}", "'x", "\"x", "${none:?must be set}"] {
            assert!(with_backslash(text).is_err(), "{text}");
        }
        assert!(with_backslash("${none:?must be set}").unwrap_err().contains("must be set"));
        let deep = "${v:+".repeat(1000);
        assert!(with_backslash(&deep).unwrap_err().contains("nested"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(.|\\$\\{v|[:#%/?+-]|\\}|'|\"){0,40}") {
            let _ = with_backslash(&text);
        }
    }
}
