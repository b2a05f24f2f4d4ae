//! Changes of every kind, by hand and at random.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{FileExt, MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, RenameFlags, Timespec, Timestamps, XattrFlags, fallocate,
    ioctl_ficlone, lremovexattr, lsetxattr, mknodat, renameat_with, utimensat,
};

/// Sets both times to a second of 2001, so that later changes can be hidden behind equal times.
pub fn set_times(path: &Path, second: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: 1_000_000_000 + second, tv_nsec: 0 };
    Ok(utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Puts the old times back after a change.
pub fn hiding(path: &Path, change: impl FnOnce()) {
    let old = fs::symlink_metadata(path).unwrap();
    change();
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(old.atime(), old.atime_nsec()),
        last_modification: time(old.mtime(), old.mtime_nsec()),
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub fn clone(from: &Path, to: &Path) -> io::Result<()> {
    Ok(ioctl_ficlone(OpenOptions::new().create(true).write(true).truncate(true).open(to)?, File::open(from)?)?)
}

pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// What the hand-made changes start from.
pub fn base(root: &Path) {
    for dir in ["a", "a/b", "a/b/c", "d", "e"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    for file in ["a/f", "a/b/f", "a/b/c/f", "a/b/c/g", "d/f", "d/g", "f"] {
        fs::write(root.join(file), format!("{file} of the base")).unwrap();
    }
    fs::write(root.join("large"), vec![7; 1 << 20]).unwrap();
    fs::write(root.join("same"), vec![7; 1 << 20]).unwrap();
    fs::hard_link(root.join("f"), root.join("a/b/link")).unwrap();
    fs::hard_link(root.join("d/f"), root.join("d/link")).unwrap();
    fs::hard_link(root.join("a/b/c/f"), root.join("e/far")).unwrap();
    symlink("f", root.join("symlink")).unwrap();
    for path in ["a/f", "a/b/f", "a/b/c/f", "a/b/c/g", "d/f", "d/g", "f", "a/b/c", "a/b", "a", "d", "e"] {
        set_times(&root.join(path), 1).unwrap();
    }
}

pub type Act = fn(&Path);

/// One change each.
pub const ACTS: &[(&str, Act)] = &[
    ("nothing", |_| {}),
    ("mtime only", |root| set_times(&root.join("a/b/f"), 2).unwrap()),
    ("mtime of a directory only", |root| set_times(&root.join("a/b"), 2).unwrap()),
    ("xattr only", |root| {
        lsetxattr(root.join("a/b/f"), "user.x", b"1", XattrFlags::empty()).unwrap();
    }),
    ("xattr of a directory", |root| {
        lsetxattr(root.join("a/b"), "user.x", b"1", XattrFlags::empty()).unwrap();
    }),
    ("mode of the root", |root| fs::set_permissions(root, PermissionsExt::from_mode(0o700)).unwrap()),
    ("content behind equal size and times", |root| {
        let path = root.join("a/b/c/g");
        hiding(&path, || {
            OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"X", 3).unwrap();
        });
    }),
    ("content replaced by the same", |root| {
        let path = root.join("a/b/c/g");
        let content = fs::read(&path).unwrap();
        hiding(&path, || fs::write(&path, content).unwrap());
    }),
    ("file replaced by an equal one", |root| {
        let path = root.join("a/b/c/g");
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
        set_times(&path, 1).unwrap();
        set_times(&root.join("a/b/c"), 1).unwrap();
    }),
    ("directory replaced by an equal one", |root| {
        fs::remove_dir(root.join("e").join("x")).unwrap_or_default();
        fs::remove_file(root.join("e/far")).unwrap();
        fs::remove_dir(root.join("e")).unwrap();
        fs::create_dir(root.join("e")).unwrap();
        fs::hard_link(root.join("a/b/c/f"), root.join("e/far")).unwrap();
        set_times(&root.join("e"), 1).unwrap();
    }),
    ("directory renamed", |root| fs::rename(root.join("a/b"), root.join("d/b")).unwrap()),
    ("directory with links renamed", |root| fs::rename(root.join("a/b/c"), root.join("c")).unwrap()),
    ("directory renamed and back", |root| {
        fs::rename(root.join("a/b"), root.join("d/b")).unwrap();
        fs::rename(root.join("d/b"), root.join("a/b")).unwrap();
    }),
    ("directories exchanged", |root| exchange(&root.join("a"), &root.join("d")).unwrap()),
    ("directory and file exchanged", |root| exchange(&root.join("a"), &root.join("f")).unwrap()),
    ("directory moved into another's place", |root| {
        fs::remove_dir_all(root.join("d")).unwrap();
        fs::rename(root.join("a/b"), root.join("d")).unwrap();
    }),
    ("link added", |root| fs::hard_link(root.join("a/b/c/g"), root.join("d/new")).unwrap()),
    ("link removed", |root| fs::remove_file(root.join("d/link")).unwrap()),
    ("linked file edited by its other name", |root| fs::write(root.join("a/b/link"), "new").unwrap()),
    ("link broken by an equal file", |root| {
        let content = fs::read(root.join("d/f")).unwrap();
        fs::remove_file(root.join("d/f")).unwrap();
        fs::write(root.join("d/f"), content).unwrap();
        set_times(&root.join("d/f"), 1).unwrap();
        set_times(&root.join("d"), 1).unwrap();
    }),
    ("separate files linked", |root| {
        fs::remove_file(root.join("same")).unwrap();
        fs::hard_link(root.join("large"), root.join("same")).unwrap();
    }),
    ("cloned over itself", |root| clone(&root.join("same"), &root.join("large")).unwrap()),
    ("cloned anew", |root| clone(&root.join("large"), &root.join("a/clone")).unwrap()),
    ("clone of other content behind equal times", |root| {
        fs::write(root.join("other"), vec![9; 1 << 20]).unwrap();
        let path = root.join("large");
        hiding(&path, || clone(&root.join("other"), &path).unwrap());
        fs::remove_file(root.join("other")).unwrap();
    }),
    ("hole punched", |root| {
        let path = root.join("large");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        hiding(&path, || {
            fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 4096, 65536).unwrap();
        });
    }),
    ("hole at the end", |root| OpenOptions::new().write(true).open(root.join("f")).unwrap().set_len(1 << 20).unwrap()),
    ("space reserved", |root| {
        let file = OpenOptions::new().write(true).open(root.join("a/f")).unwrap();
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 65536).unwrap();
    }),
    ("symlink pointed elsewhere", |root| {
        fs::remove_file(root.join("symlink")).unwrap();
        symlink("g", root.join("symlink")).unwrap();
    }),
    ("kinds replaced", |root| {
        fs::remove_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a"), "a file now").unwrap();
        fs::remove_file(root.join("f")).unwrap();
        fs::create_dir(root.join("f")).unwrap();
        fs::remove_file(root.join("symlink")).unwrap();
        mknodat(CWD, root.join("symlink"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    }),
    ("device and socket", |root| {
        mknodat(CWD, root.join("e/null"), FileType::CharacterDevice, 0o666.into(), rustix::fs::makedev(1, 3)).unwrap();
        drop(UnixListener::bind(root.join("s")).unwrap());
    }),
    ("everything removed", |root| {
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        }
    }),
    ("made and removed again", |root| {
        fs::create_dir_all(root.join("d/x/y")).unwrap();
        fs::write(root.join("d/x/y/z"), "z").unwrap();
        fs::remove_dir_all(root.join("d/x")).unwrap();
    }),
    ("open and deleted", |root| {
        let path = root.join("a/b/f");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file.write_all(b"more").unwrap();
    }),
    ("names that are no text", |root| {
        use std::os::unix::ffi::OsStrExt;
        fs::create_dir(root.join(OsStr::from_bytes(b"\xff\xfe"))).unwrap();
        fs::write(root.join(OsStr::from_bytes(b"\xff\xfe/\xc3\x28\n")), "x").unwrap();
    }),
    ("a name of 255 bytes, and 2000 names of one file", |root| {
        fs::write(root.join("a").join("n".repeat(255)), "x").unwrap();
        fs::create_dir(root.join("many")).unwrap();
        for number in 0..2000 {
            fs::hard_link(root.join("a/f"), root.join(format!("many/{number}-{}", "l".repeat(80)))).unwrap();
        }
    }),
    ("one of many names removed", |root| {
        fs::create_dir(root.join("a/b/n")).unwrap();
        for number in 0..100 {
            fs::write(root.join(format!("a/b/n/{number}")), "x").unwrap();
        }
        fs::remove_file(root.join("a/b/c/f")).unwrap();
    }),
];

/// Changes in a small tree, where paths are met again and again.
#[derive(Debug)]
pub struct Random {
    rng: ChaCha8Rng,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.rng.next_u32() % limit
    }

    /// At most three levels of three names.
    fn path(&mut self, root: &Path) -> PathBuf {
        let depth = 1 + self.below(3);
        (0..depth).fold(root.to_owned(), |path, _| path.join(["a", "b", "c"][self.below(3) as usize]))
    }

    /// One change, which may be impossible: then nothing happens.
    pub fn act(&mut self, root: &Path) {
        let (path, other) = (self.path(root), self.path(root));
        let size = [0, 1, 100, 5000, 300_000][self.below(5) as usize];
        let byte = b'0' + self.below(3) as u8;
        let second = i64::from(self.below(3));
        let at = u64::from(self.below(3)) * 4096;
        let write = || OpenOptions::new().write(true).open(&path);
        let _impossible: io::Result<()> = match self.below(19) {
            0..=2 => fs::write(&path, vec![byte; size]),
            3 | 4 => fs::create_dir(&path),
            5 => fs::remove_file(&path),
            6 => fs::remove_dir_all(&path),
            7 | 8 => fs::rename(&path, &other),
            9 => exchange(&path, &other),
            10 => fs::hard_link(&path, &other),
            11 => symlink("a", &path),
            12 => fs::set_permissions(&path, PermissionsExt::from_mode(0o600 + u32::from(byte & 7))),
            13 | 14 => set_times(&path, second),
            15 if size > 100 => lremovexattr(&path, "user.x").map_err(Into::into),
            15 => lsetxattr(&path, "user.x", &[byte], XattrFlags::empty()).map_err(Into::into),
            16 => clone(&path, &other),
            17 => write().and_then(|file| file.write_all_at(&[byte; 100], at)),
            _ => write().and_then(|file| {
                Ok(fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, 4096)?)
            }),
        };
    }
}
