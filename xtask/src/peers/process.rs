//! Programs: run and timed, watched, kept going.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a daemon may take to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a process.
const INTERVAL: Duration = Duration::from_millis(2);

/// Runs a program to its end, from before it is started until it is over; failing is an error.
pub fn timed(command: &mut Command) -> Result<(Duration, Output)> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let wall = start.elapsed();
    let output = output.with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {}", shown(command), output.status, said.trim().lines().last().unwrap_or_default());
    }
    Ok((wall, output))
}

/// What it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a program and looks again and again at the most memory that it has held; the last moments before its end may be missed.
pub fn peak(command: &mut Command) -> Result<u64> {
    let name = shown(command);
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = started.with_context(|| format!("cannot start {name}"))?;
    let mut most = 0;
    loop {
        most = high_water(child.id()).unwrap_or(0).max(most);
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{name}: {status}");
            }
            return Ok(most);
        }
        thread::sleep(INTERVAL);
    }
}

/// `VmHWM` of proc_pid_status(5), in bytes; `None` of a process that is over.
pub fn high_water(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts it, what it says into `log`, and waits until `socket` is there.
    pub fn start(mut command: Command, log: &Path, socket: &Path) -> Result<Self> {
        let out = fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let err = out.try_clone()?;
        let name = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let mut daemon = Self(started.with_context(|| format!("cannot start {name}"))?);
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            if daemon.0.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("{name} does not come up: {}", said.trim().lines().last().unwrap_or("it says nothing"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
