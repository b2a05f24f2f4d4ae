use std::{io, path::PathBuf, time::Duration};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not run in a virtual machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is missing.
    #[error("the lab needs {program}; on Debian: apt-get install --no-install-recommends {package}")]
    NoTool {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// There is no such kernel.
    #[error("no kernel {wanted} in {}{}; on Debian: apt-get install --no-install-recommends {package}", .dir.display(), installed(.have))]
    NoKernel {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// The versions that are there.
        have: Vec<String>,
        /// The Debian package that would bring it.
        package: String,
    },
    /// The file is no kernel that QEMU boots.
    #[error("{} is no kernel image: {why}", .path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        why: &'static str,
    },
    /// The kernel's modules are missing or lack one that the guest cannot do without.
    #[error("kernel {release} has no module {module} in {}; install the kernel's package whole, or build it in", .dir.display())]
    NoModule {
        /// The kernel.
        release: String,
        /// The module.
        module: String,
        /// Where modules were looked for.
        dir: PathBuf,
    },
    /// KVM was asked for by name and is not there.
    #[error("/dev/kvm cannot be used: {source}; leave --accel out, or use --accel tcg, which needs no hardware")]
    NoKvm {
        /// What the kernel said.
        source: io::Error,
    },
    /// The guest did not come up.
    #[error("the virtual machine did not start within {} s ({accel}){}", .after.as_secs(), last(.console))]
    NoBoot {
        /// The accelerator it ran with.
        accel: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// The last lines of its console.
        console: String,
    },
    /// The guest went away before the command ended.
    #[error("the virtual machine ended before the command did{}", last(.console))]
    Died {
        /// The last lines of its console, or what QEMU said.
        console: String,
    },
    /// The guest could not set itself up.
    #[error("the virtual machine could not be set up: {why}{}", last(.console))]
    Setup {
        /// What its script says.
        why: String,
        /// The last lines of its console.
        console: String,
    },
    /// The command took too long.
    #[error("the command had not ended after {} s; give it more with --timeout", .0.as_secs())]
    Timeout(Duration),
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
    /// A size or number that no machine has.
    #[error("{what}: {why}")]
    Size {
        /// Which.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The disk's file system could not be made.
    #[error("{command} failed: {output}")]
    Mkfs {
        /// The command.
        command: &'static str,
        /// What it said.
        output: String,
    },
    /// Something could not be done.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }
}

fn installed(versions: &[String]) -> String {
    if versions.is_empty() { String::new() } else { format!(" (there is {})", versions.join(", ")) }
}

fn last(console: &str) -> String {
    if console.is_empty() { String::new() } else { format!("; its last words were:\n{console}") }
}
