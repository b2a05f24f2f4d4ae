//! Small trees for tests, made by plain system calls.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, lchown, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};
use storage_driver::{ApplyStats, DiffStats};
use storage_layer::{ApplyOptions, DigestWriter, Manifest, Rules, apply, tree};

pub struct Tree(pub PathBuf);

impl Tree {
    pub fn new(parent: &Path, name: &str) -> Self {
        let path = parent.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        if let Some(parent) = self.at(path).parent() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(self.at(path), content).unwrap();
        self
    }

    pub fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.at(path)).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        fs::hard_link(self.at(target), self.at(path)).unwrap();
        self
    }

    pub fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub fn owner(&self, path: &str, uid: u32, gid: u32) -> &Self {
        lchown(self.at(path), Some(uid), Some(gid)).unwrap();
        self
    }

    pub fn xattr(&self, path: &str, name: &str, value: impl AsRef<[u8]>) -> &Self {
        lsetxattr(self.at(path), name, value.as_ref(), XattrFlags::empty()).unwrap();
        self
    }

    pub fn node(&self, path: &str, kind: FileType, major: u32, minor: u32) -> &Self {
        mknodat(CWD, self.at(path), kind, Mode::from_raw_mode(0o640), makedev(major, minor)).unwrap();
        self
    }

    pub fn fifo(&self, path: &str) -> &Self {
        self.node(path, FileType::Fifo, 0, 0)
    }

    pub fn mtime(&self, path: &str, seconds: i64, nanos: i64) -> &Self {
        let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, self.at(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        self
    }

    pub fn remove(&self, path: &str) -> &Self {
        if fs::symlink_metadata(self.at(path)).unwrap().is_dir() {
            fs::remove_dir_all(self.at(path)).unwrap();
        } else {
            fs::remove_file(self.at(path)).unwrap();
        }
        self
    }

    /// An independent copy with everything that a layer keeps, made by another program.
    pub fn copy(&self, parent: &Path, name: &str) -> Self {
        let copy = parent.join(name);
        let status = std::process::Command::new("cp").arg("-a").arg("--sparse=auto").arg(&self.0).arg(&copy).status();
        assert!(status.unwrap().success());
        Self(copy)
    }

    pub fn manifest(&self) -> Manifest {
        Manifest::scan(&self.0).unwrap()
    }

    /// Panics with all differences.
    #[track_caller]
    pub fn assert_like(&self, expected: &Self) {
        let rules = Rules { ignore_root: true, ..Rules::default() };
        let differences = expected.manifest().compare(&self.manifest(), &rules);
        let text: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert!(differences.is_empty(), "the trees differ:\n{}", text.join("\n"));
    }
}

pub fn diff(lower: Option<&Tree>, upper: &Tree) -> (Vec<u8>, DiffStats) {
    let mut out = DigestWriter::new(Vec::new());
    let stats = tree::diff(lower.map(|lower| lower.0.as_path()), &upper.0, &mut out).unwrap();
    let (tar, _, size) = out.finish();
    assert_eq!(stats.size, size);
    (tar, stats)
}

pub fn lay(tar: &[u8], over: &Tree) -> ApplyStats {
    apply(&over.0, &mut &*tar, &ApplyOptions::default()).unwrap()
}
