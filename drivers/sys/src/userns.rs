//! User namespaces: being root over one's own files without being root (user_namespaces(7)).

use std::{
    fs,
    io::{self, Read, Write},
    process::{Command, Stdio},
};

use nix::sched::{CloneFlags, unshare};

/// Which ids exist in the namespace that was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// The caller as 0, and the subordinate ids of /etc/subuid and /etc/subgid from 1 on.
    Many,
    /// The caller as 0 and nobody else.
    One,
}

/// Why no user namespace could be entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel, or a policy of the host, forbids it.
    #[error("this user may not make user namespaces ({source}){}", remedy())]
    Forbidden {
        /// unshare(2)'s.
        source: io::Error,
    },
    /// Another process's namespaces could not be joined.
    #[error("cannot join the namespaces of process {pid} ({source})")]
    Join {
        /// The process.
        pid: u32,
        /// setns(2)'s.
        source: io::Error,
    },
    /// The ids could not be mapped.
    #[error("cannot map ids in a user namespace: {why}{}", remedy())]
    Map {
        /// What failed.
        why: String,
    },
}

/// True when ids are mapped, so that user 0 is nobody special outside.
#[must_use]
pub fn is_active() -> bool {
    let whole = |map: String| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !whole(map))
}

/// Enters a new user namespace as its root, and a mount namespace whose mounts stay in it.
///
/// Must be called while the process has one thread; the caller goes on in the namespace.
///
/// # Errors
/// [`Error`] with the remedy. After an error the process must end: it may be in a namespace without ids.
pub fn enter() -> Result<Mapping, Error> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let wanted = Maps::subordinate(uid, gid);
    let helper = wanted.as_ref().map(Helper::start).transpose().ok().flatten();
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|error| Error::Forbidden { source: error.into() })?;
    let mapping = match helper.map(Helper::map) {
        Some(Ok(())) => Mapping::Many,
        // newuidmap is missing or refused: one id is better than none.
        Some(Err(_)) | None => {
            map_one(uid, gid).map_err(|error| Error::Map { why: error.to_string() })?;
            Mapping::One
        }
    };
    let everywhere = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", everywhere).map_err(|error| Error::Map { why: format!("mounts: {error}") })?;
    Ok(mapping)
}

/// Enters the user and the mount namespace of another process of the same user, as that one's root; the working directory
/// stays the same by name.
///
/// Must be called while the process has one thread. Linux 5.8 takes both at once by the process (setns(2)).
///
/// # Errors
/// [`Error::Join`]: the process has gone, or is somebody else's.
pub fn join(pid: u32) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Join { pid, source };
    let directory = std::env::current_dir();
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let raw = raw.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let process =
        rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
    nix::sched::setns(&process, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|e| failed(e.into()))?;
    // A new mount namespace is entered at its root.
    directory.and_then(std::env::set_current_dir).map_err(failed)
}

/// user_namespaces(7): setgroups(2) must be given up before an unprivileged process may map its group.
fn map_one(uid: u32, gid: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Arguments of newuidmap(1) and newgidmap(1): inside, outside, count, and again.
#[derive(Debug, PartialEq, Eq)]
struct Maps {
    users: Vec<String>,
    groups: Vec<String>,
}

impl Maps {
    fn subordinate(uid: u32, gid: u32) -> Option<Self> {
        let name = user_name(uid);
        let read = |path: &str, id: u32| {
            let ranges = ranges(&fs::read_to_string(path).ok()?, name.as_deref(), uid);
            (!ranges.is_empty()).then(|| arguments(id, &ranges))
        };
        Some(Self { users: read("/etc/subuid", uid)?, groups: read("/etc/subgid", gid)? })
    }
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

/// subuid(5): lines of `user:first:count`, the user by name or number.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    let range = |line: &str| {
        let mut fields = line.split(':');
        let user = fields.next()?;
        if Some(user) != name && user != uid {
            return None;
        }
        Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?))
    };
    text.lines().filter_map(range).filter(|(_, count)| *count > 0).collect()
}

fn arguments(own: u32, ranges: &[(u32, u32)]) -> Vec<String> {
    let mut arguments = vec!["0".to_owned(), own.to_string(), "1".to_owned()];
    let mut inside = 1u32;
    for (first, count) in ranges {
        arguments.extend([inside.to_string(), first.to_string(), count.to_string()]);
        inside = inside.saturating_add(*count);
    }
    arguments
}

/// A shell outside the namespace that maps ids once it is told to: the set-uid programs must run with the
/// privileges that this process has only before it unshares.
#[derive(Debug)]
struct Helper(std::process::Child);

impl Helper {
    fn start(maps: &Maps) -> io::Result<Self> {
        let pid = std::process::id();
        let script =
            format!("read go && newuidmap {pid} {} && newgidmap {pid} {}", maps.users.join(" "), maps.groups.join(" "));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map(Self)
    }

    fn map(mut self) -> io::Result<()> {
        if let Some(mut stdin) = self.0.stdin.take() {
            stdin.write_all(b"go\n")?;
        }
        let mut said = String::new();
        if let Some(stderr) = self.0.stderr.take() {
            stderr.take(4096).read_to_string(&mut said)?;
        }
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("{status}: {said}"))) }
    }
}

/// Which switch of the host stands against it, as far as it can be seen.
fn remedy() -> &'static str {
    let is = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "; as root: sysctl kernel.unprivileged_userns_clone=1"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "; as root: sysctl user.max_user_namespaces=10000"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "; as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        "; run as root instead"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ranges_become_arguments() {
        let text = "alice:100000:65536\nbob:1:2\n1000:300000:10\nbroken\nalice:x:1\n";
        let found = ranges(text, Some("alice"), 1000);
        assert_eq!(found, [(100_000, 65536), (300_000, 10)]);
        let expected = ["0", "1000", "1", "1", "100000", "65536", "65537", "300000", "10"];
        assert_eq!(arguments(1000, &found), expected);
        assert!(ranges(text, None, 7).is_empty());
    }
}
