//! A Dockerfile as data.

use crate::Diagnostic;

/// Where something stands in a Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In characters.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// What is wrong here.
    #[must_use]
    pub fn wrong(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            hint: None,
            line: self.line,
            column: self.column.max(1),
            width: self.width.max(1),
            text: self.text.clone(),
            file: "Dockerfile".to_owned(),
        }
    }

    /// What is wrong here, and what to do.
    #[must_use]
    pub fn wrong_with(&self, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
        Diagnostic { hint: Some(hint.into()), ..self.wrong(message) }
    }
}

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// `ARG`s before the first `FROM`.
    pub global_args: Vec<Instruction>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The escape character: a backslash or a backtick.
    pub escape: char,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What it starts from, not expanded.
    pub base: String,
    /// Its name, lower-case.
    pub name: Option<String>,
    /// The `FROM` line.
    pub from: Place,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Where its name stands.
    pub place: Place,
    /// On one line, as written.
    pub text: String,
    /// What it says, not expanded.
    pub kind: Kind,
}

/// A command as a shell line or as a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// For a shell.
    Shell(String),
    /// As it is.
    Exec(Vec<String>),
}

/// Where COPY takes its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// The build context.
    Context,
    /// A stage by name or number, or an image.
    From(String),
}

/// COPY and ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where from.
    pub source: CopySource,
    /// Patterns of what.
    pub sources: Vec<String>,
    /// Where to.
    pub target: String,
    /// `--chown`.
    pub owner: Option<String>,
    /// `--chmod`.
    pub mode: Option<String>,
    /// ADD: archives are unpacked.
    pub unpack: bool,
}

/// HEALTHCHECK, in nanoseconds as docker keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// The command; `None` switches an inherited check off.
    pub command: Option<CommandLine>,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Names, with their defaults.
    Arg(Vec<(String, Option<String>)>),
    /// Names and values.
    Env(Vec<(String, String)>),
    /// Names and values.
    Label(Vec<(String, String)>),
    /// A directory.
    Workdir(String),
    /// COPY or ADD.
    Copy(Copy),
    /// A command.
    Run(CommandLine),
    /// The default command.
    Cmd(CommandLine),
    /// The entry point.
    Entrypoint(CommandLine),
    /// User and group.
    User(String),
    /// Ports, such as `80/tcp`.
    Expose(Vec<String>),
    /// Directories.
    Volume(Vec<String>),
    /// A signal.
    StopSignal(String),
    /// Words of the shell for shell forms.
    Shell(Vec<String>),
    /// Who maintains the image.
    Maintainer(String),
}
