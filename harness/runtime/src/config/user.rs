//! Users and groups by the names of an image.

use std::{
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{Error, Result};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// A file of users is text of a few lines; images are not trusted to keep to that.
const MAX_FILE: u64 = 8 << 20;

/// Whether the group exists in this process's user namespace (user_namespaces(7), `/proc/[pid]/gid_map`).
pub(super) fn is_group_mapped(gid: u32) -> bool {
    GroupsHere::find().has(gid)
}

/// Who a container runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// Home directory, `/` if the image does not know the user.
    pub home: PathBuf,
}

/// Finds `user` (`user` or `user:group`, names or numbers) in the files of the image at `rootfs`.
///
/// As docker does: a number needs no entry; with a group given there are no supplementary groups but those of `more`. Of
/// the groups that the image says the user is in, those that this user namespace cannot give are left out.
///
/// # Errors
/// [`Error::NoSuchUser`] for names that are not there, and files that cannot be read.
pub fn resolve_user(rootfs: &Path, user: &str, more: &[String]) -> Result<ResolvedUser> {
    let root = open_root(rootfs)?;
    let passwd = read(&root, PASSWD)?;
    let group = read(&root, GROUP)?;
    let own_groups = GroupsHere::find();
    resolve(&passwd, &group, user, more, own_groups)
}

/// Which groups a process of this user namespace can have.
struct GroupsHere {
    /// First group and number of groups of each range of the map.
    map: Vec<(u64, u64)>,
    /// Whether setgroups(2) is forbidden, as in a namespace that was made without privilege.
    fixed: bool,
}

impl GroupsHere {
    /// See user_namespaces(7) on `/proc/[pid]/gid_map` and `setgroups`.
    fn find() -> &'static Self {
        // A process that is to have other users changes to them before it has threads.
        static HERE: OnceLock<GroupsHere> = OnceLock::new();
        HERE.get_or_init(Self::read)
    }

    fn read() -> Self {
        let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
            numbers.next().zip(numbers.nth(1))
        };
        let fixed = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|answer| answer.trim() == "deny");
        Self { map: map.lines().filter_map(range).collect(), fixed }
    }

    fn has(&self, gid: u32) -> bool {
        self.map.iter().any(|&(first, length)| (first..first + length).contains(&gid.into()))
    }
}

fn resolve(passwd: &str, group: &str, user: &str, more: &[String], here: &GroupsHere) -> Result<ResolvedUser> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let entry = passwd_entry(passwd, name);
    let (uid, mut gid, home) = match (entry, id(name)) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home),
        (None, Some(uid)) => (uid, 0, ""),
        (None, None) => return Err(missing("user", name, PASSWD)),
    };
    let mut groups = Vec::new();
    match (group_name, entry) {
        (Some(name), _) => gid = group_id(group, name)?,
        (None, Some(entry)) => {
            groups.extend(memberships(group, entry.name).filter(|&gid| !here.fixed && here.has(gid)));
        }
        (None, None) => {}
    }
    for name in more {
        groups.push(group_id(group, name)?);
    }
    groups.sort_unstable();
    groups.dedup();
    let home = if home.is_empty() { "/" } else { home };
    Ok(ResolvedUser { uid, gid, groups, home: home.into() })
}

fn missing(kind: &'static str, name: &str, file: &'static str) -> Error {
    Error::NoSuchUser { kind, name: name.to_owned(), file }
}

/// A numeric id; the largest number means "no id" to the kernel.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id != u32::MAX)
}

#[derive(Debug, Clone, Copy)]
struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The first entry with this name, or else with this id; see passwd(5).
fn passwd_entry<'a>(passwd: &'a str, user: &str) -> Option<Passwd<'a>> {
    let parse = |line: &'a str| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Passwd { name, uid: id(uid)?, gid: id(gid)?, home: fields.nth(1).unwrap_or_default() })
    };
    let entries = || passwd.lines().filter_map(parse);
    let by_id = id(user).and_then(|uid| entries().find(|entry| entry.uid == uid));
    entries().find(|entry| entry.name == user).or(by_id)
}

/// Entries of group(5): name, id, members.
fn group_entries(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, id(gid)?, fields.next().unwrap_or_default()))
    })
}

fn group_id(group: &str, name: &str) -> Result<u32> {
    let named = group_entries(group).find(|(known, _, _)| *known == name).map(|(_, gid, _)| gid);
    named.or_else(|| id(name)).ok_or_else(|| missing("group", name, GROUP))
}

fn memberships<'a>(group: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    let has = move |members: &str| members.split(',').any(|member| member == user);
    group_entries(group).filter(move |(_, _, members)| has(members)).map(|(_, gid, _)| gid)
}

fn open_root(rootfs: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, rootfs, flags, Mode::empty())
        .map_err(Error::io(format!("open the root file system {}", rootfs.display())))
}

/// The content of a file of the image, resolved in its root; empty if it is missing.
fn read(root: &OwnedFd, path: &str) -> Result<String> {
    let failed = || format!("read {path} of the image");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), how) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        other => other.map_err(Error::io(failed()))?,
    };
    let stat = rustix::fs::fstat(&file).map_err(Error::io(failed()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::invalid(format!("{path} of the image"), "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(MAX_FILE).read_to_end(&mut bytes).map_err(Error::io(failed()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/false\nnohome:x:7:7\nbad:x:y:0::/:\n100:x:5:6::/five:\n";
    const GROUPS: &str = "root:x:0:\nwww:x:34:\nextra:x:50:web,root\nmore:x:40:web\nbroken:x:z:web\n";

    const HERE: GroupsHere = GroupsHere { map: Vec::new(), fixed: false };

    fn everywhere() -> GroupsHere {
        GroupsHere { map: vec![(0, 1 << 32)], ..HERE }
    }

    fn find(user: &str) -> (u32, u32, Vec<u32>, String) {
        let found = resolve(USERS, GROUPS, user, &[], &everywhere()).unwrap();
        (found.uid, found.gid, found.groups, found.home.to_str().unwrap().to_owned())
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        assert_eq!(find(""), (0, 0, vec![50], "/root".into()));
        assert_eq!(find("web"), (33, 34, vec![40, 50], "/srv".into()));
        assert_eq!(find("33"), (33, 34, vec![40, 50], "/srv".into()));
        assert_eq!(find("web:root"), (33, 0, vec![], "/srv".into()));
        assert_eq!(find("web:"), (33, 34, vec![40, 50], "/srv".into()));
        assert_eq!(find("1234"), (1234, 0, vec![], "/".into()));
        assert_eq!(find("1234:99"), (1234, 99, vec![], "/".into()));
        assert_eq!(find(":www"), (0, 34, vec![], "/root".into()));
        assert_eq!(find("nohome"), (7, 7, vec![], "/".into()));
        // A name that looks like a number is a name.
        assert_eq!(find("100"), (5, 6, vec![], "/five".into()));
    }

    #[test]
    fn groups_can_be_added() {
        let found = resolve(USERS, GROUPS, "web:www", &["extra".into(), "77".into()], &everywhere()).unwrap();
        assert_eq!(found.groups, [50, 77]);
        assert!(resolve(USERS, GROUPS, "web", &["nope".into()], &everywhere()).is_err());
    }

    #[test]
    fn groups_that_cannot_be_had_are_left_out() {
        let groups = |here: &GroupsHere| resolve(USERS, GROUPS, "web", &[], here).unwrap().groups;
        assert_eq!(groups(&GroupsHere { map: vec![(0, 45)], fixed: false }), [40]);
        assert_eq!(groups(&GroupsHere { map: vec![(0, 1), (50, 1)], fixed: false }), [50]);
        assert_eq!(groups(&GroupsHere { fixed: true, ..everywhere() }), [0; 0]);
        assert_eq!(groups(&GroupsHere { ..HERE }), [0; 0]);
    }

    #[test]
    fn unknown_names_are_errors() {
        for user in ["nobody", "web:nope", "bad", "4294967295", "-1"] {
            assert!(resolve(USERS, GROUPS, user, &[], &everywhere()).is_err(), "{user}");
        }
        let error = resolve("", "", "me", &[], &everywhere()).unwrap_err();
        assert_eq!(error.to_string(), "unable to find user me: no matching entries in /etc/passwd of the image");
    }

    #[test]
    fn links_of_the_image_stay_in_the_image() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostile", root.path().join("etc/passwd")).unwrap();
        std::fs::write(root.path().join("etc/hostile"), "me:x:9:8::/me:\n").unwrap();
        std::os::unix::fs::symlink("../../../../../../../../etc/group", root.path().join("etc/group")).unwrap();
        // The first link leads to the image's file, the second one to itself.
        assert!(resolve_user(root.path(), "me", &[]).is_err());
        std::fs::remove_file(root.path().join("etc/group")).unwrap();
        assert_eq!(resolve_user(root.path(), "me", &[]).unwrap().uid, 9);
        assert!(resolve_user(root.path(), "daemon", &[]).is_err());
    }

    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let path = root.path().join("etc/passwd");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert!(resolve_user(root.path(), "root", &[]).is_err());
    }
}
