//! A minimal container runtime: namespaces, `pivot_root`, capabilities, seccomp, cgroups.
//!
//! A [`Launch`] takes an OCI runtime specification and starts a [`Container`] as a child of this process. The container's
//! first process is this program again, executed in new namespaces: a program that starts containers therefore calls
//! [`init_if_asked`] before anything else in its `main`. [`Container::exec`] runs further programs in it, and
//! [`Running`] does so from another process than the one that started it. [`config`] makes specifications from the options that people
//! know from docker.
//!
//! It needs Linux 5.12 (mount_setattr(2)); mounts are handled as descriptors throughout, so that an image's symbolic
//! links cannot lead any of them out of the container. It runs as root or as the root of a user namespace.
#![deny(missing_docs)]

mod attach;
mod caps;
mod cgroup;
mod channel;
pub mod config;
mod container;
mod error;
mod exec;
mod exec_into;
mod external;
mod given;
mod hooks;
mod init;
mod keeper;
mod launch;
mod plan;
mod prepare;
mod proc;
mod process;
mod processes;
mod relay;
mod rlimit;
mod running;
mod seccomp;
pub mod signal;
mod stdio;
mod translate;
mod wire;

pub use attach::terminal_size;
pub use cgroup::{Stats, Throttling, gc_cgroups, has_unified_cgroups, own_cgroups};
pub use container::Container;
pub use error::{Error, Result};
pub use exec_into::Exec;
pub use external::ExternalRuntime;
pub use init::{Role, init_if_asked, init_or_role_if_asked};
pub use launch::{ContainerFile, Launch};
pub use prepare::{Nascent, Prepare};
pub use process::{Exit, Output, Process, Signaller, Stream};
pub use processes::ContainerProcess;
pub use relay::drain;
pub use running::{Running, RunningRecord};
pub use stdio::Stdio;
