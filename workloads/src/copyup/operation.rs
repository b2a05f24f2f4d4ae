//! What is done to a file of the parent, twice, and whether it happened.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::{
    Engine, Error, Result,
    content::{BLOCK, Content},
};

const XATTR: &str = "user.harness";

/// One way to change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Append,
    Overwrite,
    Truncate,
    Mmap,
    Chmod,
    Chown,
    Setxattr,
    Rename,
    Move,
    Link,
    Unlink,
}

/// All of them, in the order in which they are done.
pub(super) const OPERATIONS: [(&str, Operation); 11] = [
    ("append", Operation::Append),
    ("overwrite", Operation::Overwrite),
    ("truncate", Operation::Truncate),
    ("mmap", Operation::Mmap),
    ("chmod", Operation::Chmod),
    ("chown", Operation::Chown),
    ("setxattr", Operation::Setxattr),
    ("rename", Operation::Rename),
    ("move", Operation::Move),
    ("link", Operation::Link),
    ("unlink", Operation::Unlink),
];

/// The first write to a file of the parent, or the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Second,
}

impl Turn {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }

    /// What is written: other bytes each time.
    const fn bytes(self) -> [u8; BLOCK] {
        match self {
            Self::First => [0xA5; BLOCK],
            Self::Second => [0x5A; BLOCK],
        }
    }
}

/// A file that one operation has for itself.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) operation: Operation,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) content: Content,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        OPERATIONS.iter().find(|(_, operation)| *operation == self).map_or("", |(name, _)| name)
    }

    pub(super) fn turns(self) -> &'static [Turn] {
        // What is gone cannot be removed again.
        if self == Self::Unlink { &[Turn::First] } else { &[Turn::First, Turn::Second] }
    }

    /// It is about the content, so that the content has to be the layer's own afterwards.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Append | Self::Overwrite | Self::Mmap | Self::Truncate)
    }

    /// The file stays where it is and is another than in the parent.
    pub(super) const fn stays(self) -> bool {
        !matches!(self, Self::Rename | Self::Move | Self::Link | Self::Unlink)
    }
}

impl Target {
    /// Does it.
    pub(super) fn perform(&self, turn: Turn, engine: &mut dyn Engine) -> Result<()> {
        let path = &self.path;
        let fail = || Error::io(self.operation.name(), path);
        let open = || OpenOptions::new().write(true).open(path);
        match self.operation {
            Operation::Append => {
                let file = OpenOptions::new().append(true).open(path);
                file.and_then(|mut file| file.write_all(&turn.bytes()[..1]))
            }
            Operation::Overwrite => {
                let (offset, len) = self.middle();
                open().and_then(|file| file.write_all_at(&turn.bytes()[..len], offset))
            }
            Operation::Mmap => {
                let (offset, len) = self.middle();
                return engine.map_write(path, offset, &turn.bytes()[..len]);
            }
            Operation::Truncate => open().and_then(|file| file.set_len(self.size >> turn.number())),
            Operation::Chmod => fs::set_permissions(path, Permissions::from_mode(mode(turn))),
            Operation::Chown => chown(path, Some(owner(turn)), Some(owner(turn))),
            Operation::Setxattr => {
                setxattr(path, XATTR, turn.name().as_bytes(), XattrFlags::empty()).map_err(Into::into)
            }
            Operation::Rename => {
                let from = if turn == Turn::First { path.clone() } else { self.other(Turn::First) };
                fs::rename(from, self.other(turn))
            }
            Operation::Move => {
                let from = if turn == Turn::First { self.directory().to_owned() } else { self.moved(Turn::First) };
                move_directory(&from, &self.moved(turn))
            }
            Operation::Link => fs::hard_link(path, self.other(turn)),
            Operation::Unlink => fs::remove_file(path),
        }
        .map_err(fail())
    }

    /// Whether it happened, and nothing else did.
    pub(super) fn check(&self, turn: Turn) -> Result<()> {
        match self.operation {
            Operation::Append => {
                self.expect_size(&self.path, self.size + turn.number())?;
                self.expect_bytes(turn, self.size + turn.number() - 1, 1)?;
                self.expect_old(&self.path)
            }
            Operation::Overwrite | Operation::Mmap => {
                let (offset, len) = self.middle();
                self.expect_size(&self.path, self.size)?;
                self.expect_bytes(turn, offset, len)?;
                if offset < BLOCK as u64 { Ok(()) } else { self.expect_old(&self.path) }
            }
            Operation::Truncate => self.expect_size(&self.path, self.size >> turn.number()),
            Operation::Chmod => self.expect("mode", mode(turn), |found| found.mode() & 0o7777),
            Operation::Chown => self.expect("owner", owner(turn), MetadataExt::uid),
            Operation::Setxattr => self.expect_xattr(turn),
            Operation::Rename => {
                self.expect_gone()?;
                self.expect_size(&self.other(turn), self.size)?;
                self.expect_old(&self.other(turn))
            }
            Operation::Move => {
                self.expect_gone()?;
                let file = self.moved(turn).join(self.path.file_name().unwrap_or_default());
                self.expect_size(&file, self.size)?;
                self.expect_old(&file)
            }
            Operation::Link => {
                self.expect("links", 1 + turn.number(), MetadataExt::nlink)?;
                self.expect_old(&self.other(turn))
            }
            Operation::Unlink => self.expect_gone(),
        }
    }

    /// 4 KiB in the middle, or what there is of it.
    fn middle(&self) -> (u64, usize) {
        let len = self.size.min(BLOCK as u64);
        let offset = self.size / 2 / BLOCK as u64 * BLOCK as u64;
        (offset.min(self.size - len), len as usize)
    }

    fn other(&self, turn: Turn) -> PathBuf {
        self.path.with_extension(turn.name())
    }

    /// Where the file of [`Operation::Move`] lies; it is that directory that is moved.
    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn moved(&self, turn: Turn) -> PathBuf {
        self.directory().with_extension(turn.name())
    }

    fn expect<T: PartialEq + ToString>(&self, what: &str, expected: T, of: impl Fn(&fs::Metadata) -> T) -> Result<()> {
        let found = of(&fs::symlink_metadata(&self.path).map_err(Error::io("examine", &self.path))?);
        if found == expected { Ok(()) } else { Err(self.missing(what, expected, found)) }
    }

    fn expect_size(&self, path: &Path, expected: u64) -> Result<()> {
        let found = fs::symlink_metadata(path).map_err(Error::io("examine", path))?.len();
        if found == expected { Ok(()) } else { Err(self.missing("size", expected, found)) }
    }

    fn expect_bytes(&self, turn: Turn, offset: u64, len: usize) -> Result<()> {
        let mut found = vec![0; len];
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut found, offset));
        read.map_err(Error::io("read", &self.path))?;
        if found == turn.bytes()[..len] {
            return Ok(());
        }
        Err(self.missing("content", format!("what was written at {offset}"), "other bytes"))
    }

    /// The first block is the parent's still, where the file has a whole one.
    fn expect_old(&self, path: &Path) -> Result<()> {
        if self.size < BLOCK as u64 { Ok(()) } else { self.content.check(path, 0) }
    }

    fn expect_xattr(&self, turn: Turn) -> Result<()> {
        let mut found = [0; 16];
        let read = getxattr(&self.path, XATTR, &mut found);
        let len = read.map_err(|error| Error::io("read the xattrs of", &self.path)(error.into()))?;
        if &found[..len] == turn.name().as_bytes() {
            return Ok(());
        }
        Err(self.missing(XATTR, turn.name(), found[..len].escape_ascii()))
    }

    fn expect_gone(&self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("examine", &self.path)(error)),
            Ok(_) => Err(self.missing("the file", "none", "one")),
        }
    }

    fn missing(&self, what: &str, expected: impl ToString, found: impl ToString) -> Error {
        Error::effect(format!("{what} of {} after {}", self.path.display(), self.operation.name()), expected, found)
    }
}

/// As mv(1) does: where the kernel says that a directory cannot be renamed, which overlayfs says of those of lower layers
/// (`EXDEV`, see "Renaming directories" in Documentation/filesystems/overlayfs.rst), its files are copied and removed.
fn move_directory(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        answer => return answer,
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    fs::remove_dir_all(from)
}

/// Neither is what files are made with.
const fn mode(turn: Turn) -> u32 {
    match turn {
        Turn::First => 0o750,
        Turn::Second => 0o705,
    }
}

/// Two ids that are mapped wherever a range is.
const fn owner(turn: Turn) -> u32 {
    turn.number() as u32
}
