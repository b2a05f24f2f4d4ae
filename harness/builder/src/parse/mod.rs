//! The Dockerfile parser: bytes in, instructions with the place of every word out.
//!
//! It reads what BuildKit's parser reads. What a word means once variables are expanded, and whether this builder
//! can do what an instruction asks for, is decided later.

mod arguments;
mod directives;
mod duration;
mod heredocs;
mod lines;
mod stages;
mod words;

use self::{
    arguments::Arguments,
    directives::Reader as DirectiveReader,
    lines::{Lines, Logical},
};
use crate::{
    Diagnostic,
    dockerfile::{Dockerfile, Flag, Instruction, Kind, Word},
    near,
    source::{Source, Span},
};

/// Longer files are not Dockerfiles.
const MOST_BYTES: usize = 16 << 20;

/// Reads a Dockerfile that is called `Dockerfile` in messages.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(source: &[u8]) -> Result<Dockerfile, Diagnostic> {
    parse_named("Dockerfile", source)
}

/// Reads a Dockerfile; `name` is its name in messages.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse_named(name: &str, bytes: &[u8]) -> Result<Dockerfile, Diagnostic> {
    let source = Source::new(name, bytes.get(..MOST_BYTES).unwrap_or(bytes))?;
    if bytes.len() > MOST_BYTES {
        return Err(source.error(Span::default(), "a Dockerfile cannot be larger than 16 MiB"));
    }
    let text = source.text();
    let directives = DirectiveReader::new(&source).read()?;
    let mut lines = Lines::new(text);
    let mut statements = Vec::new();
    while let Some(line) = lines.logical(directives.escape) {
        let mut statement = Statement::read(&source, &line, directives.escape)?;
        if statement.keyword.takes_heredocs() && line.text.contains("<<") {
            statement.heredocs = heredocs::read(&source, &line, &mut lines)?;
        }
        statements.push((statement, line));
    }
    let file = stages::group(&source, directives, statements)?;
    Ok(Dockerfile { empty_continuations: lines.empty, ..file })
}

/// Whether a RUN's line is one heredoc and nothing else.
pub(crate) fn is_heredoc_alone(line: &str) -> bool {
    !line.trim().contains(char::is_whitespace) && heredocs::announcement(line.trim()).is_some()
}

/// A logical line whose keyword and flags were read.
#[derive(Debug)]
struct Statement {
    keyword: Keyword,
    keyword_span: Span,
    span: Span,
    flags: Vec<Flag>,
    heredocs: Vec<crate::dockerfile::Heredoc>,
    /// Where the arguments begin.
    arguments: usize,
    escape: char,
}

impl Statement {
    fn read(source: &Source, line: &Logical, escape: char) -> Result<Self, Diagnostic> {
        let text = &line.text;
        let start = text.len() - text.trim_start().len();
        let tail = text.get(start..).unwrap_or_default();
        let end = start + tail.find(words::is_space).unwrap_or(tail.trim_end().len());
        let given = text.get(start..end).unwrap_or_default();
        let keyword_span = line.span(start..end);
        let Some(keyword) = Keyword::find(given) else {
            return Err(unknown_instruction(source, keyword_span, given));
        };
        let (found, arguments) = words::flags(text, end);
        let flags = read_flags(source, line, keyword, found)?;
        let span = line.whole();
        Ok(Self { keyword, keyword_span, span, flags, heredocs: Vec::new(), arguments, escape })
    }

    /// On one line, for people and for the history.
    fn text(&self, line: &Logical) -> String {
        let rest = line.text.trim_start();
        let rest = rest.get(self.keyword.name().len()..).unwrap_or_default().trim();
        let text = if rest.is_empty() { String::new() } else { format!(" {rest}") };
        format!("{}{text}", self.keyword.name())
    }

    fn instruction(self, source: &Source, line: &Logical, kind: Kind) -> Result<Instruction, Diagnostic> {
        let text = self.text(line);
        let Self { keyword_span, span, flags, heredocs, .. } = self;
        let instruction = Instruction { span, keyword: keyword_span, text, flags, heredocs, kind };
        heredocs::check(source, &instruction)?;
        Ok(instruction)
    }
}

fn unknown_instruction(source: &Source, span: Span, given: &str) -> Diagnostic {
    let upper = given.to_ascii_uppercase();
    let near = near::nearest(&upper, Keyword::ALL.iter().map(|keyword| keyword.name()));
    let shown: String = given.chars().take(40).collect();
    let hint = near.map(|near| format!("did you mean {near}?"));
    source.error(span, format!("unknown instruction {shown}")).maybe_hint(hint)
}

fn read_flags(
    source: &Source,
    line: &Logical,
    keyword: Keyword,
    found: Vec<words::Piece>,
) -> Result<Vec<Flag>, Diagnostic> {
    let mut flags: Vec<Flag> = Vec::new();
    for piece in found {
        let span = line.span(piece.range.clone());
        let body = piece.text.trim_start_matches('-');
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some((name, how)) = keyword.flags().iter().find(|(known, _)| *known == name) else {
            let near = near::nearest(name, keyword.flags().iter().map(|(known, _)| *known));
            let hint = near.map(|near| format!("did you mean --{near}?"));
            let message = format!("{} has no flag --{name}", keyword.name());
            return Err(source.error(span, message).maybe_hint(hint));
        };
        let length = piece.range.end - piece.range.start;
        let offset = value.map_or(length, |value| length.saturating_sub(value.len()));
        let value = value.map(|text| Word { text: text.to_owned(), span: span.part(offset..length) });
        match (how, &value) {
            (Takes::Value | Takes::Values, None) => {
                return Err(source
                    .error(span, format!("--{name} needs a value"))
                    .hint(format!("write --{name}=VALUE")));
            }
            (Takes::Switch, Some(given)) if !matches!(given.text.as_str(), "true" | "false") => {
                return Err(source.error(given.span, format!("--{name} is either true or false")));
            }
            _ => {}
        }
        if *how != Takes::Values && flags.iter().any(|flag| flag.name == *name) {
            return Err(source.error(span, format!("--{name} is given twice")));
        }
        flags.push(Flag { name, value, span });
    }
    Ok(flags)
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// `--flag`, `--flag=true` or `--flag=false`
    Switch,
    /// `--flag=VALUE`
    Value,
    /// The same, any number of times.
    Values,
}

/// The first word of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Keyword {
    const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Cmd => "CMD",
            Self::Copy => "COPY",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::From => "FROM",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Maintainer => "MAINTAINER",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Shell => "SHELL",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }

    fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(word))
    }

    const fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run | Self::Onbuild)
    }

    /// The flags of the Dockerfile reference; whether this builder can do what they ask for is decided later.
    const fn flags(self) -> &'static [(&'static str, Takes)] {
        use Takes::{Switch, Value, Values};
        match self {
            Self::Add => &[
                ("checksum", Value),
                ("chmod", Value),
                ("chown", Value),
                ("exclude", Values),
                ("keep-git-dir", Switch),
                ("link", Switch),
                ("unpack", Switch),
            ],
            Self::Copy => &[
                ("chmod", Value),
                ("chown", Value),
                ("exclude", Values),
                ("from", Value),
                ("link", Switch),
                ("parents", Switch),
            ],
            Self::From => &[("platform", Value)],
            Self::Healthcheck => &[
                ("interval", Value),
                ("retries", Value),
                ("start-interval", Value),
                ("start-period", Value),
                ("timeout", Value),
            ],
            Self::Run => &[("device", Values), ("mount", Values), ("network", Value), ("security", Value)],
            _ => &[],
        }
    }
}

fn instruction(source: &Source, statement: Statement, line: &Logical) -> Result<Instruction, Diagnostic> {
    let kind = Arguments::new(source, &statement, line).read()?;
    statement.instruction(source, line, kind)
}

#[cfg(test)]
mod tests;
