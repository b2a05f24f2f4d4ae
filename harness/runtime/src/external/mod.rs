//! The same container by another OCI runtime: runc, crun, youki and what else has their command line.
//!
//! The runtime makes the container and goes; the container's process is an orphan then, which becomes a child of this
//! process since this one takes orphans in while the runtime runs (PR_SET_CHILD_SUBREAPER). From there on it is looked
//! after as any other container.

mod bundle;

use std::{
    fs::File,
    io,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use oci_spec::runtime::Process as ProcessSpec;
use rustix::{
    fd::{AsFd, OwnedFd},
    process::{Pid, PidfdFlags, pidfd_open, set_child_subreaper},
};
use serde::{Deserialize, Serialize};

use self::bundle::Bundle;
use crate::{
    Container, Error, Exec, Launch, Process, Result, Stdio, caps,
    cgroup::Cgroup,
    channel,
    exec::Spawned,
    exec_into::{self, Origin},
    launch,
    stdio::Streams,
};

/// Where the packages of the known runtimes are from.
const PACKAGES: [(&str, &str); 3] = [
    ("runc", "install the package runc"),
    ("crun", "install the package crun"),
    ("youki", "see https://youki-dev.github.io/youki for how to install it"),
];

/// An OCI runtime that is a program of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRuntime {
    program: PathBuf,
    /// Before the command.
    arguments: Vec<String>,
}

impl ExternalRuntime {
    /// The runtime `program`: a path, or a name that is looked up in `PATH`.
    ///
    /// # Errors
    /// [`Error::Runtime`] if it is not there, with what to install.
    pub fn new(program: impl AsRef<Path>) -> Result<Self> {
        let program = program.as_ref();
        let named = program.components().count() == 1 && !program.is_absolute();
        let candidates: Vec<PathBuf> = match std::env::var_os("PATH") {
            Some(path) if named => std::env::split_paths(&path).map(|directory| directory.join(program)).collect(),
            _ => vec![program.to_owned()],
        };
        let executable =
            |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        match candidates.into_iter().find(executable) {
            Some(program) => {
                let program = program.canonicalize().map_err(Error::io("look the OCI runtime up"))?;
                Ok(Self { program, arguments: Vec::new() })
            }
            None => {
                let name = program.file_name().unwrap_or_default();
                let remedy = PACKAGES.iter().find(|(known, _)| name == *known).map_or("", |(_, remedy)| remedy);
                let why = if remedy.is_empty() {
                    "there is no such program".to_owned()
                } else {
                    format!("there is no such program; {remedy}")
                };
                Err(Error::Runtime { program: program.display().to_string(), why })
            }
        }
    }

    /// Gives the runtime these arguments before each command, as docker's `runtimeArgs`.
    #[must_use]
    pub fn with_arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The program's file.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a container as [`Launch::start`] does, with these differences: it does not die with this process
    /// ([`remove_stale`](Self::remove_stale) removes what is left then), it always has a cgroup, and signals reach its
    /// process directly, whatever the runtime would do about them.
    ///
    /// # Errors
    /// [`Error::Runtime`] with what the runtime says, [`Error::Program`] where that is that the program cannot be
    /// executed, [`Error::Unsupported`] for [`Launch::init`]. Nothing is left then.
    pub fn start(&self, launch: Launch) -> Result<Container> {
        launch::check_id(&launch.id)?;
        if launch.init {
            let remedy = "give the image an init of its own, or leave the runtime out";
            return Err(Error::Unsupported { what: "a reaper under another OCI runtime".into(), remedy });
        }
        let terminal = launch::terminal(&launch.spec, &launch.stdio)?;
        let origin = Origin::of(&launch.spec)?;
        let mut spec = launch.spec;
        let place = PathBuf::from("harness").join(format!("{}.{}", launch.id, std::process::id()));
        let own_cgroup = spec.linux().as_ref().is_some_and(|linux| linux.cgroups_path().is_none());
        if let (Some(linux), true) = (spec.linux_mut(), own_cgroup) {
            linux.set_cgroups_path(Some(Path::new("/").join(&place)));
        }
        let process = spec.process().clone().ok_or_else(|| Error::invalid("process", "it is missing"))?;
        let bundle = Bundle::make(self, &launch.id, spec, &launch.files)?;
        let mut made = Made { runtime: self, bundle: Some(bundle) };
        let outside = Outside { runtime: self.clone(), id: launch.id.clone(), process: Box::new(process) };
        let streams = Streams::open(launch.stdio)?;
        let bundle = made.bundle();
        let mut arguments = vec!["create".to_owned(), "--bundle".into(), text(&bundle.path())];
        let process = self.adopt(&bundle, &mut arguments, &launch.id, streams, terminal.is_some())?;
        if let Some(size) = &terminal {
            process.resize_pty(size.rows, size.columns)?;
        }
        let cgroup = if own_cgroup { Cgroup::find(&place) } else { None };
        if let Some(prepare) = launch.prepare {
            bundle.rewrite(&prepare.run(&process)?)?;
        }
        if !launch.die_with_parent {
            bundle.set_owner(process.pid())?;
        }
        self.run(&bundle, &["start", &launch.id])?;
        made.bundle = None;
        Ok(Container::outside(&launch.id, process, cgroup, origin, outside))
    }

    /// Removes containers of this runtime whose starter has died, and returns their ids.
    ///
    /// # Errors
    /// The directory of their bundles cannot be read.
    pub fn remove_stale(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for bundle in Bundle::all(self)? {
            if bundle.is_stale() {
                removed.push(bundle.id().to_owned());
                self.remove(&bundle);
            }
        }
        Ok(removed)
    }

    fn remove(&self, bundle: &Bundle) {
        // A container that is not there is no error with --force; what else fails shows in the log of the bundle.
        if let Err(error) = self.run(bundle, &["delete", "--force", bundle.id()]) {
            tracing::warn!(%error, id = bundle.id(), "an OCI runtime did not remove its container");
        }
        bundle.remove();
    }

    /// Runs a command of the runtime to its end.
    fn run(&self, bundle: &Bundle, arguments: &[&str]) -> Result<()> {
        let output = self.command(bundle).args(arguments).output().map_err(|error| self.failed(&error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(self.said(bundle, &said))
    }

    fn command(&self, bundle: &Bundle) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--root").arg(bundle.state());
        command.arg("--log").arg(bundle.log()).args(["--log-format", "json"]);
        command
    }

    /// Runs a command that leaves a process behind, and takes that in.
    fn adopt(
        &self,
        bundle: &Bundle,
        arguments: &mut Vec<String>,
        id: &str,
        streams: Streams,
        terminal: bool,
    ) -> Result<Process> {
        let (pid_file, socket) = bundle.fresh_names();
        let listener = terminal.then(|| UnixListener::bind(&socket)).transpose().map_err(Error::io("make a socket"))?;
        arguments.extend(["--pid-file".into(), text(&pid_file)]);
        if terminal {
            arguments.extend(["--console-socket".into(), text(&socket)]);
        }
        arguments.push(id.to_owned());
        let mut command = self.command(bundle);
        command.args(arguments);
        let [input, output, errors] = streams.child().map(|fd| fd.try_clone_to_owned());
        let copied = Error::io("copy a descriptor");
        let (input, output, errors) = input.and_then(|input| Ok((input, output?, errors?))).map_err(copied)?;
        command.stdin(input).stdout(output).stderr(errors);
        let ended = {
            // While it is set, orphans of whatever this process has started come here; so it is not set for longer.
            static TAKES_ORPHANS: Mutex<()> = Mutex::new(());
            let _one_at_a_time = TAKES_ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
            let own = Some(rustix::process::getpid());
            set_child_subreaper(own).map_err(Error::io("become a subreaper"))?;
            let ended = command.status();
            set_child_subreaper(None).map_err(Error::io("stop being a subreaper"))?;
            ended.map_err(|error| self.failed(&error.to_string()))?
        };
        drop(command);
        if !ended.success() {
            return Err(self.said(bundle, ""));
        }
        let pid = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        let pid = pid.and_then(Pid::from_raw).ok_or_else(|| self.failed("it wrote no process id"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(Error::io("open the container's process"))?;
        let mut process = Process::new(Spawned { pid, pidfd }, streams);
        if let Some(listener) = listener {
            process.set_pty(File::from(receive_terminal(&listener).map_err(Error::io("receive the terminal"))?));
        }
        let _ = std::fs::remove_file(&pid_file);
        let _ = std::fs::remove_file(&socket);
        Ok(process)
    }

    fn failed(&self, why: &str) -> Error {
        Error::Runtime { program: self.program.display().to_string(), why: why.to_owned() }
    }

    /// What the runtime says about its failure: the last error of its log, or `else_said`.
    fn said(&self, bundle: &Bundle, else_said: &str) -> Error {
        let log = std::fs::read_to_string(bundle.log()).unwrap_or_default();
        let why = last_error(&log).unwrap_or_else(|| else_said.trim().replace('\n', "; "));
        let status = if why.contains("no such file or directory") || why.contains("not found in $PATH") {
            Some(127)
        } else if why.contains("permission denied") {
            Some(126)
        } else {
            None
        };
        match status {
            Some(status) if why.contains("exec") => Error::Program { status, what: why, source: None },
            _ => self.failed(if why.is_empty() { "it failed and did not say why" } else { &why }),
        }
    }
}

/// The message of the last error in a log of JSON lines.
fn last_error(log: &str) -> Option<String> {
    let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut errors = lines.filter(|line| line["level"] == "error");
    Some(errors.next()?["msg"].as_str()?.to_owned())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn receive_terminal(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (socket, _) = listener.accept()?;
    channel::receive_descriptor(socket.as_fd())
}

/// A container that is being made; removed unless that succeeds.
struct Made<'a> {
    runtime: &'a ExternalRuntime,
    bundle: Option<Bundle>,
}

impl Made<'_> {
    fn bundle(&self) -> Bundle {
        self.bundle.clone().unwrap_or_default()
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Some(bundle) = self.bundle.take() {
            self.runtime.remove(&bundle);
        }
    }
}

/// A container that an external runtime has made, to be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outside {
    runtime: ExternalRuntime,
    id: String,
    /// Its first program, which further ones are like.
    process: Box<ProcessSpec>,
}

impl Outside {
    pub(crate) fn exec(&self, exec: Exec) -> Result<Process> {
        let bundle = Bundle::of(&self.runtime, &self.id);
        let (terminal, size) = match exec.stdio {
            Stdio::Pty { rows, cols } => (true, Some((rows, cols))),
            _ => (false, None),
        };
        let process = self.process(&exec, terminal)?;
        let file = bundle.write_process(&process)?;
        let streams = Streams::open(exec.stdio)?;
        let mut arguments = vec!["exec".to_owned(), "--detach".into(), "--process".into(), text(&file)];
        let started = self.runtime.adopt(&bundle, &mut arguments, &self.id, streams, terminal);
        let _ = std::fs::remove_file(&file);
        let process = started?;
        process.reap_when_it_ends()?;
        if let Some((rows, cols)) = size {
            process.resize_pty(rows.into(), cols.into())?;
        }
        Ok(process)
    }

    fn process(&self, exec: &Exec, terminal: bool) -> Result<ProcessSpec> {
        if exec.role {
            let remedy = "leave the runtime out";
            return Err(Error::Unsupported { what: "a role under another OCI runtime".into(), remedy });
        }
        let mut process = (*self.process).clone();
        process.set_args(Some(exec.args.clone())).set_terminal(Some(terminal));
        let env = process.env_mut().get_or_insert_default();
        exec.env.iter().for_each(|variable| exec_into::set_variable(env, variable.clone()));
        if let Some(cwd) = &exec.cwd {
            process.set_cwd(cwd.clone());
        }
        if let Some(user) = &exec.user {
            process.user_mut().set_uid(user.uid).set_gid(user.gid).set_additional_gids(Some(user.groups.clone()));
        }
        if exec.privileged {
            let all: oci_spec::runtime::Capabilities = caps::all().collect();
            let mut sets = process.capabilities().clone().unwrap_or_default();
            sets.set_bounding(Some(all.clone())).set_effective(Some(all.clone())).set_permitted(Some(all));
            process.set_capabilities(Some(sets));
        }
        Ok(process)
    }

    /// Removes the container, whose process has ended, and what the runtime knows of it.
    pub(crate) fn remove(&self) {
        self.runtime.remove(&Bundle::of(&self.runtime, &self.id));
    }
}
