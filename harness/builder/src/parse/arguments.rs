//! The arguments of each instruction.

use std::time::Duration;

use super::{
    Keyword, Statement, duration, heredocs, instruction,
    lines::Logical,
    words::{self, Json, Piece},
};
use crate::{
    Diagnostic,
    dockerfile::{
        CommandForm, CommandLine, Declaration, Healthcheck, Instruction, KeyValue, Kind, Transfer, TransferSource, Word,
    },
    source::{Source, Span},
};

pub(super) struct Arguments<'a> {
    source: &'a Source,
    statement: &'a Statement,
    line: &'a Logical,
}

impl<'a> Arguments<'a> {
    pub fn new(source: &'a Source, statement: &'a Statement, line: &'a Logical) -> Self {
        Self { source, statement, line }
    }

    pub fn read(&self) -> Result<Kind, Diagnostic> {
        Ok(match self.statement.keyword {
            Keyword::Add => Kind::Add(self.transfer()?),
            Keyword::Arg => Kind::Arg(self.declarations()?),
            Keyword::Cmd => Kind::Cmd(self.command()?),
            Keyword::Copy => Kind::Copy(self.transfer()?),
            Keyword::Entrypoint => Kind::Entrypoint(self.command()?),
            Keyword::Env => Kind::Env(self.pairs()?),
            Keyword::Expose => Kind::Expose(self.several()?),
            Keyword::Healthcheck => Kind::Healthcheck(self.healthcheck()?),
            Keyword::Label => Kind::Label(self.pairs()?),
            Keyword::Maintainer => Kind::Maintainer(self.one()?),
            Keyword::Onbuild => Kind::Onbuild(Box::new(self.onbuild()?)),
            Keyword::Run => Kind::Run(self.run()?),
            Keyword::Shell => Kind::Shell(self.shell()?),
            Keyword::Stopsignal => Kind::Stopsignal(self.one()?),
            Keyword::User => Kind::User(self.one()?),
            Keyword::Volume => Kind::Volume(self.volumes()?),
            Keyword::Workdir => Kind::Workdir(self.one()?),
            Keyword::From => return Err(self.error(self.statement.keyword_span, "FROM cannot be used here")),
        })
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.source.error(span, message)
    }

    fn name(&self) -> &'static str {
        self.statement.keyword.name()
    }

    fn missing(&self, what: &str) -> Diagnostic {
        self.error(self.statement.keyword_span, format!("{} needs {what}", self.name()))
    }

    fn word(&self, piece: Piece) -> Word {
        Word { span: self.line.span(piece.range), text: piece.text }
    }

    fn rest(&self) -> Piece {
        words::rest(&self.line.text, self.statement.arguments)
    }

    /// All that follows, as one word.
    fn one(&self) -> Result<Word, Diagnostic> {
        let rest = self.rest();
        if rest.text.is_empty() {
            return Err(self.missing("an argument"));
        }
        Ok(self.word(rest))
    }

    fn several(&self) -> Result<Vec<Word>, Diagnostic> {
        let found = words::at_spaces(&self.line.text, self.statement.arguments);
        if found.is_empty() {
            return Err(self.missing("at least one argument"));
        }
        Ok(found.into_iter().map(|piece| self.word(piece)).collect())
    }

    /// Words, or strings in a JSON array.
    fn list(&self) -> Result<Vec<Word>, Diagnostic> {
        match words::json(&self.line.text, self.statement.arguments) {
            Json::Strings(found) => Ok(found.into_iter().map(|piece| self.word(piece)).collect()),
            Json::Others => Err(self.not_strings()),
            Json::No => {
                let found = words::at_spaces(&self.line.text, self.statement.arguments);
                Ok(found.into_iter().map(|piece| self.word(piece)).collect())
            }
        }
    }

    fn not_strings(&self) -> Diagnostic {
        let span = self.line.span(self.rest().range);
        self.error(span, "a JSON array here can hold strings only").hint("put every element into double quotes")
    }

    fn command(&self) -> Result<CommandLine, Diagnostic> {
        self.command_from(self.statement.arguments)
    }

    fn command_from(&self, from: usize) -> Result<CommandLine, Diagnostic> {
        let rest = words::rest(&self.line.text, from);
        let span = self.line.span(rest.range.clone());
        let form = match words::json(&self.line.text, from) {
            Json::Strings(found) => CommandForm::Exec(found.into_iter().map(|piece| piece.text).collect()),
            Json::Others => return Err(self.not_strings()),
            Json::No if rest.text.is_empty() => CommandForm::Exec(Vec::new()),
            Json::No => CommandForm::Shell(rest.text),
        };
        Ok(CommandLine { form, span })
    }

    fn run(&self) -> Result<CommandLine, Diagnostic> {
        let command = self.command()?;
        match &command.form {
            CommandForm::Exec(words) if words.is_empty() => Err(self.missing("a command")),
            _ => Ok(command),
        }
    }

    fn shell(&self) -> Result<Vec<String>, Diagnostic> {
        match words::json(&self.line.text, self.statement.arguments) {
            Json::Strings(found) if found.is_empty() => Err(self.missing("at least one argument")),
            Json::Strings(found) => Ok(found.into_iter().map(|piece| piece.text).collect()),
            Json::Others => Err(self.not_strings()),
            Json::No if self.rest().text.is_empty() => Err(self.missing("at least one argument")),
            Json::No => {
                let span = self.line.span(self.rest().range);
                let hint = "such as SHELL [\"/bin/sh\", \"-c\"]";
                Err(self.error(span, "SHELL needs its arguments as a JSON array of strings").hint(hint))
            }
        }
    }

    fn volumes(&self) -> Result<Vec<Word>, Diagnostic> {
        let found = self.list()?;
        if found.is_empty() {
            return Err(self.missing("at least one argument"));
        }
        match found.iter().find(|word| word.text.trim().is_empty()) {
            Some(empty) => Err(self.error(empty.span, "a volume's path cannot be empty")),
            None => Ok(found),
        }
    }

    fn transfer(&self) -> Result<Transfer, Diagnostic> {
        let mut found = self.list()?;
        let destination = found.pop();
        let Some(destination) = destination.filter(|_| !found.is_empty()) else {
            return Err(self.missing("at least one source and a destination"));
        };
        let mut next = 0;
        let sources = found.into_iter().map(|word| {
            let heredoc = heredocs::announcement(&word.text).and_then(|announced| {
                let known = self.statement.heredocs.iter().skip(next).position(|known| known.name == announced.name)?;
                next += known + 1;
                Some(next - 1)
            });
            TransferSource { word, heredoc }
        });
        Ok(Transfer { sources: sources.collect(), destination })
    }

    fn declarations(&self) -> Result<Vec<Declaration>, Diagnostic> {
        let found = words::quoted(&self.line.text, self.statement.arguments, self.statement.escape);
        if found.is_empty() {
            return Err(self.missing("at least one argument"));
        }
        found.into_iter().map(|piece| self.declaration(piece)).collect()
    }

    fn declaration(&self, piece: Piece) -> Result<Declaration, Diagnostic> {
        let (name, value) = self.split(&piece);
        if name.text.is_empty() {
            return Err(self.error(self.line.span(piece.range), "the name before '=' is empty"));
        }
        Ok(Declaration { name, value })
    }

    /// Cuts a word at its first equals sign.
    fn split(&self, piece: &Piece) -> (Word, Option<Word>) {
        let start = piece.range.start;
        let Some(at) = piece.text.find('=') else { return (self.word(piece.clone()), None) };
        let part = |text: &str, from: usize, to: usize| Word { text: text.to_owned(), span: self.line.span(from..to) };
        let (name, value) = (&piece.text[..at], &piece.text[at + 1..]);
        (part(name, start, start + at), Some(part(value, start + at + 1, piece.range.end)))
    }

    fn pairs(&self) -> Result<Vec<KeyValue>, Diagnostic> {
        let found = words::quoted(&self.line.text, self.statement.arguments, self.statement.escape);
        let Some(first) = found.first() else { return Err(self.missing("at least one argument")) };
        if !first.text.contains('=') {
            return Ok(vec![self.legacy_pair()?]);
        }
        found.iter().map(|piece| self.pair(piece)).collect()
    }

    fn pair(&self, piece: &Piece) -> Result<KeyValue, Diagnostic> {
        let span = self.line.span(piece.range.clone());
        let (key, Some(value)) = self.split(piece) else {
            let hint = "write name=value, and quotes around a value with spaces";
            return Err(self.error(span, format!("there is no '=' in {}", piece.text)).hint(hint));
        };
        self.pair_of(key, value, false)
    }

    /// `ENV name the rest of the line`
    fn legacy_pair(&self) -> Result<KeyValue, Diagnostic> {
        let rest = self.rest();
        let Some(end) = rest.text.find(words::is_space) else {
            let hint = format!("write {} {}=VALUE", self.name(), rest.text);
            return Err(self.error(self.line.span(rest.range), format!("{} needs a value", self.name())).hint(hint));
        };
        let start = rest.range.start;
        let value = words::rest(&self.line.text, start + end);
        let key = Piece { text: rest.text[..end].to_owned(), range: start..start + end };
        self.pair_of(self.word(key), self.word(value), true)
    }

    fn pair_of(&self, key: Word, value: Word, legacy: bool) -> Result<KeyValue, Diagnostic> {
        if key.text.is_empty() {
            return Err(self.error(key.span, "the name before '=' is empty"));
        }
        Ok(KeyValue { key, value, legacy })
    }

    fn onbuild(&self) -> Result<Instruction, Diagnostic> {
        let line = self.line.tail(self.statement.arguments);
        if line.text.trim().is_empty() {
            return Err(self.missing("an instruction"));
        }
        let mut inner = Statement::read(self.source, &line, self.statement.escape)?;
        if matches!(inner.keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
            let message = format!("{} cannot be an ONBUILD trigger", inner.keyword.name());
            return Err(self.error(inner.keyword_span, message));
        }
        inner.heredocs.clone_from(&self.statement.heredocs);
        instruction(self.source, inner, &line)
    }

    fn healthcheck(&self) -> Result<Healthcheck, Diagnostic> {
        let rest = self.rest();
        let end = rest.text.find(words::is_space).unwrap_or(rest.text.len());
        let (word, after) = rest.text.split_at(end);
        let span = self.line.span(rest.range.start..rest.range.start + end);
        let command = match word.to_ascii_uppercase().as_str() {
            "NONE" if after.trim().is_empty() => None,
            "NONE" => return Err(self.error(span, "HEALTHCHECK NONE takes no arguments")),
            "CMD" if after.trim().is_empty() => return Err(self.error(span, "HEALTHCHECK CMD needs a command")),
            "CMD" => Some(self.command_from(rest.range.start + end)?),
            "" => return Err(self.missing("CMD and a command, or NONE")),
            _ => return Err(self.error(span, format!("HEALTHCHECK is CMD or NONE, not {word}"))),
        };
        Ok(Healthcheck {
            command,
            interval: self.duration("interval")?,
            timeout: self.duration("timeout")?,
            start_period: self.duration("start-period")?,
            start_interval: self.duration("start-interval")?,
            retries: self.retries()?,
        })
    }

    fn flag(&self, name: &str) -> Option<&Word> {
        self.statement.flags.iter().find(|flag| flag.name == name)?.value.as_ref()
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, Diagnostic> {
        let Some(value) = self.flag(name) else { return Ok(None) };
        let Some(duration) = duration::parse(&value.text) else {
            return Err(self.error(value.span, format!("--{name} takes a duration")).hint("such as 30s or 1m30s"));
        };
        if duration > Duration::ZERO && duration < Duration::from_millis(1) {
            return Err(self.error(value.span, format!("--{name} cannot be less than 1ms")));
        }
        Ok(Some(duration))
    }

    fn retries(&self) -> Result<Option<u32>, Diagnostic> {
        let Some(value) = self.flag("retries") else { return Ok(None) };
        match value.text.parse() {
            Ok(retries) => Ok(Some(retries)),
            Err(_) => Err(self.error(value.span, "--retries takes a number")),
        }
    }
}
