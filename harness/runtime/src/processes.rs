use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    Error, Result,
    proc::{self, Stat},
};

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerProcess {
    /// Its id on the host.
    pub pid: u32,
    /// Its id in the container.
    pub pid_inside: u32,
    /// Its parent's id on the host.
    pub parent: u32,
    /// The effective user, as the host has it.
    pub uid: u32,
    /// The program with its arguments; of a process without any, its name in brackets.
    pub command: Vec<OsString>,
    /// Processor time used.
    pub cpu_time: Duration,
    /// When it was started.
    pub started: SystemTime,
    /// The state's letter, see proc_pid_stat(5).
    pub state: char,
    /// Major and minor number of its controlling terminal.
    pub terminal: Option<(u32, u32)>,
}

/// The processes of the pid namespace that `first` is in, by their ids on the host.
pub(crate) fn in_namespace_of(first: u32) -> Result<Vec<ContainerProcess>> {
    let failed = || Error::io("list the container's processes");
    let namespace = match std::fs::read_link(format!("/proc/{first}/ns/pid")) {
        Err(error) if proc::is_gone(&error) => return Ok(Vec::new()),
        other => other.map_err(failed())?,
    };
    // Nobody is left in the namespace of a process 1 that has ended, also while it has not been waited for.
    if Stat::read(first).map_err(failed())?.is_none_or(|stat| stat.has_ended()) {
        return Ok(Vec::new());
    }
    let booted = proc::boot_time();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes come and go while this looks; those of others cannot be looked into without privilege.
        if is_in(pid, &namespace)
            && let Some(process) = read(pid, booted)
        {
            found.push(process);
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// The processes with these ids, as far as they are still there.
pub(crate) fn these(pids: &[u32]) -> Vec<ContainerProcess> {
    let booted = proc::boot_time();
    pids.iter().filter_map(|&pid| read(pid, booted)).collect()
}

fn is_in(pid: u32, namespace: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link: PathBuf| link == namespace)
}

fn read(pid: u32, booted: SystemTime) -> Option<ContainerProcess> {
    let stat = Stat::read(pid).ok()??;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let terminal = stat.terminal;
    let (major, minor) = (rustix::fs::major(terminal.into()), rustix::fs::minor(terminal.into()));
    Some(ContainerProcess {
        pid,
        // Real, effective, saved and file-system ids; process ids from the outermost namespace that /proc shows inwards.
        pid_inside: line("NSpid")?.split_whitespace().next_back()?.parse().ok()?,
        uid: line("Uid")?.split_whitespace().nth(1)?.parse().ok()?,
        parent: stat.parent,
        command: command(&arguments, line("Name")?.trim()),
        cpu_time: proc::duration(stat.cpu_ticks),
        started: booted + proc::duration(stat.start_ticks),
        state: stat.state,
        terminal: (terminal != 0).then_some((major, minor)),
    })
}

fn command(arguments: &[u8], name: &str) -> Vec<OsString> {
    match arguments.strip_suffix(b"\0").unwrap_or(arguments) {
        [] => vec![format!("[{name}]").into()],
        words => words.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_at_nuls() {
        assert_eq!(command(b"sh\0-c\0\0", "sh"), ["sh", "-c", ""]);
        assert_eq!(command(b"title", "x"), ["title"]);
        assert_eq!(command(b"", "kthread"), ["[kthread]"]);
    }

    #[test]
    fn this_process_is_among_those_of_its_namespace() {
        let own = std::process::id();
        let all = in_namespace_of(own).unwrap();
        let found = all.iter().find(|process| process.pid == own).unwrap();
        assert!(found.started <= SystemTime::now() && !found.command.is_empty());
    }
}
