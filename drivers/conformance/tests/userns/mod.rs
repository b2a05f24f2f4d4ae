//! Running one trial in a process of its own, in a user namespace.
//!
//! A namespace can only be entered by a process with one thread, and its ids must be mapped from outside; so the trial
//! is started by a shell that waits in the new namespace until that is done.

use std::{
    env, fs,
    io::{self, Write},
    process::{Child, Command, ExitCode, Stdio},
};

use crate::subjects::Place;

const NAME: &str = "CONFORMANCE_TRIAL";

/// The trial that this process was started for.
pub fn asked_to_run() -> Option<String> {
    env::var(NAME).ok()
}

/// Tells the process that asked how the trial ended.
pub fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            _ = io::stdout().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Runs a trial in a user namespace.
pub fn run(name: &str, place: Place) -> Result<(), String> {
    let program = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--mount", "--propagation", "unchanged", "sh", "-c", "echo ready; read go; exec \"$0\""]);
    command.arg(program).env(NAME, name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start unshare ({error}); install util-linux"))?;
    if let Err(error) = map_ids(&mut child, place) {
        _ = child.kill();
        _ = child.wait();
        return Err(format!("cannot map ids: {error}"));
    }
    let output = child.wait_with_output().map_err(|error| format!("cannot wait for the trial: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{said}\n{errors}").trim().to_owned())
}

/// Root inside is root outside, so that this program can be read wherever it is; all others are strangers.
fn map_ids(child: &mut Child, place: Place) -> io::Result<()> {
    wait_until_ready(child)?;
    let map = match place {
        Place::OneId => "0 0 1\n",
        Place::ManyIds | Place::Here => "0 0 1\n1 100001 65535\n",
    };
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", child.id()), map)?;
    }
    match &mut child.stdin {
        Some(stdin) => stdin.write_all(b"go\n"),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The shell says "ready" once unshare has put it into its namespace.
fn wait_until_ready(child: &mut Child) -> io::Result<()> {
    use std::io::Read;
    let mut ready = [0; 6];
    match &mut child.stdout {
        Some(stdout) => stdout.read_exact(&mut ready),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
