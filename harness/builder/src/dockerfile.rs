//! A Dockerfile as data, with the place of every word.

use std::time::Duration;

use crate::source::{Source, Span};

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// Where it came from.
    pub source: Source,
    /// The directives at its start.
    pub directives: Directives,
    /// The `ARG` instructions before the first `FROM`.
    pub global_args: Vec<Instruction>,
    /// The stages; at least one.
    pub stages: Vec<Stage>,
    /// Empty lines within instructions.
    pub empty_continuations: Vec<Span>,
}

/// Parser directives: comments of the form `# name=value` at the very start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// What continues a line and escapes a character: `\` or `` ` ``.
    pub escape: char,
    /// The image of the front end that the file was written for.
    pub syntax: Option<Word>,
    /// Options of build checks.
    pub check: Option<Word>,
}

/// `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The whole `FROM` instruction.
    pub span: Span,
    /// The instruction on one line.
    pub text: String,
    /// The base, before variables are expanded.
    pub base: Word,
    /// The name after `AS`, in lower case.
    pub name: Option<Word>,
    /// `--platform`.
    pub flags: Vec<Flag>,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

/// One instruction other than `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// All of it but its heredocs.
    pub span: Span,
    /// Its first word.
    pub keyword: Span,
    /// On one line, as written, the keyword in upper case.
    pub text: String,
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its heredocs in order.
    pub heredocs: Vec<Heredoc>,
    /// What it is.
    pub kind: Kind,
}

impl Instruction {
    /// The first flag of a name.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }
}

/// A piece of text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As written, line continuations removed.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// `--name` or `--name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// What is after the equals sign.
    pub value: Option<Word>,
    /// All of it.
    pub span: Span,
}

impl Flag {
    /// The value's text; empty for a flag without.
    #[must_use]
    pub fn text(&self) -> &str {
        self.value.as_ref().map_or("", |value| &value.text)
    }

    /// Whether a yes-or-no flag says yes.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.value.as_ref().is_none_or(|value| value.text == "true")
    }
}

/// `<<EOF` and what follows the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// The lines, as written.
    pub raw: String,
    /// Variables in it are expanded: no part of the word is quoted.
    pub expand: bool,
    /// `<<-`: tabs at the start of lines are dropped.
    pub chomp: bool,
    /// The lines.
    pub span: Span,
}

impl Heredoc {
    /// The lines as they are meant.
    #[must_use]
    pub fn content(&self) -> String {
        if !self.chomp {
            return self.raw.clone();
        }
        self.raw.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// The instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `ADD`
    Add(Transfer),
    /// `ARG`
    Arg(Vec<Declaration>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Transfer),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<KeyValue>),
    /// `EXPOSE`
    Expose(Vec<Word>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<KeyValue>),
    /// `MAINTAINER`
    Maintainer(Word),
    /// `ONBUILD`
    Onbuild(Box<Instruction>),
    /// `RUN`
    Run(CommandLine),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

/// A variable that `ARG` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: Word,
    /// Its default.
    pub value: Option<Word>,
}

/// A pair of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Before the equals sign, or before the first space in the old form.
    pub key: Word,
    /// After it.
    pub value: Word,
    /// The old form, without an equals sign.
    pub legacy: bool,
}

/// What `COPY` and `ADD` move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// From where; at least one.
    pub sources: Vec<TransferSource>,
    /// Where to.
    pub destination: Word,
}

/// One source of `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferSource {
    /// As written.
    pub word: Word,
    /// It is a heredoc: the number in [`Instruction::heredocs`].
    pub heredoc: Option<usize>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Which form, and the command.
    pub form: CommandForm,
    /// Where.
    pub span: Span,
}

/// The two forms of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandForm {
    /// A JSON array: executed as it is.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// What `HEALTHCHECK` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command; `None` for `HEALTHCHECK NONE`.
    pub command: Option<CommandLine>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// The longest that a check may take.
    pub timeout: Option<Duration>,
    /// How long failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks until then.
    pub start_interval: Option<Duration>,
    /// How many failures make it unhealthy.
    pub retries: Option<u32>,
}
