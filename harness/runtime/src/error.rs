use std::{io, path::PathBuf};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a container could not be started, or looked after.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The specification asks for something that this runtime does not do.
    #[error("the container's configuration asks for {what}, which is not supported{}", hint(.remedy))]
    Unsupported {
        /// The field, by its name in the OCI runtime specification.
        what: String,
        /// What to do instead, if anything.
        remedy: &'static str,
    },
    /// A value makes no sense.
    #[error("invalid container configuration: {what}: {why}")]
    Invalid {
        /// The field and its value.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The user is not in the image.
    #[error("unable to find {kind} {name}: no matching entries in {file} of the image")]
    NoSuchUser {
        /// "user" or "group".
        kind: &'static str,
        /// As asked for.
        name: String,
        /// The file that was read.
        file: &'static str,
    },
    /// The process, in its namespaces, could not be created.
    #[error("could not create a container's process: {source}{}", clone_hint(.source))]
    Spawn {
        /// What the kernel says.
        source: io::Error,
    },
    /// The step of [`Launch::prepare`](crate::Launch::prepare) failed.
    #[error("{source}")]
    Prepare {
        /// As the step said it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Setting the container up failed in its init process.
    #[error("could not set the container up: {step}{}", cause(.source))]
    Setup {
        /// What was being done.
        step: String,
        /// What the kernel says.
        source: Option<io::Error>,
    },
    /// The container is set up, but its program cannot be executed.
    #[error("{what}{}", cause(.source))]
    Program {
        /// 127 if there is no such program, 126 if it cannot be executed.
        status: u8,
        /// In docker's words where there are some.
        what: String,
        /// What the kernel says.
        source: Option<io::Error>,
    },
    /// A limit was asked for that cannot be set here.
    #[error("cannot limit {what}: {why}")]
    Limit {
        /// The resource.
        what: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// Another OCI runtime is not there, or has failed.
    #[error("the OCI runtime {program} cannot be used: {why}")]
    Runtime {
        /// Its program.
        program: String,
        /// What it says, or what to do.
        why: String,
    },
    /// The container cannot be paused, or made to go on.
    #[error("cannot pause or resume the container: {why}")]
    Freeze {
        /// Why, and what to do.
        why: String,
    },
    /// The container is paused, so nothing can be started in it.
    #[error("the container {id} is paused: resume it first")]
    Paused {
        /// The container.
        id: String,
    },
    /// A cgroup file could not be used.
    #[error("could not {action} {path}: {source}")]
    Cgroup {
        /// Such as "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another call failed.
    #[error("could not {action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// What the kernel says.
        source: io::Error,
    },
}

impl Error {
    /// The exit status that docker's command gives for it: 127 or 126 if the program cannot be executed, else 125.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Program { status, .. } => *status,
            _ => 125,
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into() }
    }

    pub(crate) fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action: action.into(), source: source.into() }
    }
}

fn hint(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!(": {remedy}") }
}

fn cause(source: &Option<io::Error>) -> String {
    source.as_ref().map(|source| format!(": {source}")).unwrap_or_default()
}

fn clone_hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM) => " (run as root, or in a user namespace)",
        Some(libc::ENOSYS) => " (Linux 5.12 or newer is needed)",
        Some(libc::ENOSPC) => " (a limit of /proc/sys/user/max_*_namespaces is reached)",
        Some(libc::EINVAL) => " (a namespace type is missing in this kernel: CONFIG_{PID,NET,IPC,UTS}_NS)",
        _ => "",
    }
}
