//! What layers hold: three changes, each on top of the one before.
//!
//! Small, so that a trial takes milliseconds, and with one of everything that takes a system call of its own.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use storage_layer::{
    Manifest,
    copy::{self, CopyOptions},
    tree,
};

use crate::{Error, Result};

/// The trees that layers are compared with, and the tars that are applied.
#[derive(Debug)]
pub struct Oracle {
    /// A layer that nobody has written to.
    pub empty: Manifest,
    pub base: Manifest,
    pub middle: Manifest,
    pub work: Manifest,
    pub next: Manifest,
    /// From nothing to `base`.
    pub base_tar: Vec<u8>,
    /// From `base` to `middle`.
    pub middle_tar: Vec<u8>,
}

impl Oracle {
    /// Makes the trees in plain directories below `room`, and takes them away again.
    pub fn make(room: &Path) -> Result<Self> {
        let room = tempfile::Builder::new().prefix("oracle-").tempdir_in(room).map_err(Error::io("write in", room))?;
        let dir = |name: &str| room.path().join(name);
        let make = |name: &str, below: Option<&str>, change: &dyn Fn(&Path) -> io::Result<()>| -> Result<Manifest> {
            let path = dir(name);
            fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
                .map_err(Error::io("create", &path))?;
            if let Some(below) = below {
                copy::tree(&dir(below), &path, &CopyOptions::default())?;
            }
            change(&path).map_err(Error::io("write in", &path))?;
            Ok(Manifest::scan(&path)?)
        };
        let empty = make("empty", None, &|_| Ok(()))?;
        let base = make("base", None, &write_base)?;
        let middle = make("middle", Some("base"), &write_middle)?;
        let work = make("work", Some("middle"), &write_work)?;
        let next = make("next", Some("work"), &write_next)?;
        let (mut base_tar, mut middle_tar) = (Vec::new(), Vec::new());
        tree::diff(None, &dir("base"), &mut base_tar)?;
        tree::diff(Some(&dir("base")), &dir("middle"), &mut middle_tar)?;
        Ok(Self { empty, base, middle, work, next, base_tar, middle_tar })
    }
}

/// Reproducible bytes that do not repeat.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        // xorshift64: enough to make blocks differ.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// A first layer.
pub fn write_base(root: &Path) -> io::Result<()> {
    for dir in ["etc", "usr", "usr/bin", "var"] {
        fs::create_dir(root.join(dir))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
    fs::write(root.join("etc/gone"), "deleted above")?;
    fs::write(root.join("etc/kind"), "a directory above")?;
    fs::write(root.join("usr/bin/tool"), bytes(1, 150_000))?;
    fs::set_permissions(root.join("usr/bin/tool"), fs::Permissions::from_mode(0o4755))?;
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/again"))?;
    symlink("tool", root.join("usr/bin/link"))?;
    rustix::fs::setxattr(root.join("etc/passwd"), "trusted.faults", b"kept", XattrFlags::empty())?;
    std::os::unix::fs::chown(root.join("var"), Some(7), Some(8))?;
    rustix::fs::mknodat(CWD, root.join("var/fifo"), FileType::Fifo, Mode::from(0o600), 0)?;
    let sparse = fs::File::create(root.join("var/sparse"))?;
    sparse.set_len(1 << 20)?;
    sparse.write_all_at(b"end", (1 << 20) - 3)
}

/// A second layer, on the first.
pub fn write_middle(root: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(root.join("etc/passwd"))?.write_all(b"daemon:x:1:1::/:/bin/false\n")?;
    fs::remove_file(root.join("etc/gone"))?;
    fs::remove_file(root.join("etc/kind"))?;
    fs::create_dir(root.join("etc/kind"))?;
    fs::write(root.join("etc/kind/inside"), "inside")?;
    fs::write(root.join("usr/new"), bytes(2, 20_000))?;
    rustix::fs::setxattr(root.join("usr"), "user.faults", b"copied up", XattrFlags::empty())?;
    Ok(())
}

/// A third layer, on the second.
pub fn write_work(root: &Path) -> io::Result<()> {
    fs::create_dir(root.join("srv"))?;
    let mut file = fs::File::create(root.join("srv/data"))?;
    file.write_all(&bytes(3, 70_000))?;
    file.sync_all()?;
    fs::rename(root.join("srv/data"), root.join("srv/renamed"))?;
    fs::remove_dir_all(root.join("etc/kind"))?;
    let past = Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
    let times = Timestamps { last_access: past, last_modification: past };
    rustix::fs::utimensat(CWD, root.join("usr/new"), &times, rustix::fs::AtFlags::empty())?;
    rustix::fs::removexattr(root.join("etc/passwd"), "trusted.faults")?;
    OpenOptions::new().write(true).open(root.join("usr/new"))?.set_len(100)
}

/// A fourth layer, on the third.
pub fn write_next(root: &Path) -> io::Result<()> {
    fs::remove_file(root.join("usr/new"))?;
    fs::write(root.join("srv/next"), bytes(4, 30_000))
}
