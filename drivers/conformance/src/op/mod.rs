//! What a case does to a tree, as data: one list of operations serves the oracle, the layer and the report.

mod execute;

use std::{
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

pub use execute::execute;

/// File content that does not need to be written out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Data {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Reproducible bytes that neither compress nor repeat.
    Random {
        /// Names the bytes.
        seed: u64,
        /// How many.
        len: usize,
    },
}

impl Data {
    /// The bytes themselves.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Random { seed, len } => {
                // xorshift64*: enough to make blocks differ; quality does not matter here.
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut word = || {
                    state ^= state >> 12;
                    state ^= state << 25;
                    state ^= state >> 27;
                    state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
                };
                let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| word()).collect();
                bytes.truncate(*len);
                bytes
            }
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) if bytes.len() <= 32 => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Random { seed, len } => write!(f, "random({seed}, {len})"),
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A point in time as files carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileTime {
    /// Since the epoch.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Which device table a node points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// Which of the two POSIX ACLs (acl(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AclKind {
    /// The one that is checked.
    Access,
    /// The one that new files in a directory inherit.
    Default,
}

/// One change to a tree.
///
/// Paths are relative to the tree's root; the empty path is the root itself. Modes are set whatever the umask.
/// No operation follows a symlink in the last component, and none leaves the tree.
#[derive(Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are the arguments of the system call each variant is named after")]
pub enum Op {
    /// A new regular file; fails if the name is taken.
    CreateFile { path: PathBuf, data: Data, mode: u32 },
    /// Writes at the end, with `O_APPEND`.
    Append { path: PathBuf, data: Data },
    /// Writes at an offset; a hole before it stays a hole.
    Overwrite { path: PathBuf, offset: u64, data: Data },
    /// Cuts or grows a file; growth is a hole.
    Truncate { path: PathBuf, size: u64 },
    /// A new directory.
    Mkdir { path: PathBuf, mode: u32 },
    /// unlink(2), or rmdir(2) for a directory.
    Remove { path: PathBuf },
    /// Removes a whole subtree.
    RemoveAll { path: PathBuf },
    /// rename(2), which replaces what is at `to`.
    Rename { from: PathBuf, to: PathBuf },
    /// A further name for an existing file.
    Link { existing: PathBuf, new: PathBuf },
    /// A new symlink.
    Symlink { target: PathBuf, path: PathBuf },
    /// A new device node.
    Mknod { path: PathBuf, device: Device, major: u32, minor: u32, mode: u32 },
    /// A new named pipe.
    Fifo { path: PathBuf, mode: u32 },
    /// A new unix socket's name.
    Socket { path: PathBuf, mode: u32 },
    /// lchown(2).
    Chown { path: PathBuf, uid: u32, gid: u32 },
    /// chmod(2); refused for symlinks.
    Chmod { path: PathBuf, mode: u32 },
    /// Sets the modification time.
    Utimes { path: PathBuf, mtime: FileTime },
    /// lsetxattr(2), making or replacing.
    SetXattr { path: PathBuf, name: String, value: Vec<u8> },
    /// lremovexattr(2).
    RemoveXattr { path: PathBuf, name: String },
    /// Grants one named user some permissions, the owner all, group and others none.
    SetAcl { path: PathBuf, kind: AclKind, uid: u32, permissions: u16 },
    /// Frees a range, which reads as zeros after; the size stays.
    PunchHole { path: PathBuf, offset: u64, length: u64 },
}

#[allow(missing_docs, reason = "short makers, each named after its variant")]
impl Op {
    pub fn file(path: impl Into<PathBuf>, data: impl Into<Data>) -> Self {
        Self::CreateFile { path: path.into(), data: data.into(), mode: 0o644 }
    }

    pub fn file_mode(path: impl Into<PathBuf>, data: impl Into<Data>, mode: u32) -> Self {
        Self::CreateFile { path: path.into(), data: data.into(), mode }
    }

    pub fn append(path: impl Into<PathBuf>, data: impl Into<Data>) -> Self {
        Self::Append { path: path.into(), data: data.into() }
    }

    pub fn overwrite(path: impl Into<PathBuf>, offset: u64, data: impl Into<Data>) -> Self {
        Self::Overwrite { path: path.into(), offset, data: data.into() }
    }

    pub fn truncate(path: impl Into<PathBuf>, size: u64) -> Self {
        Self::Truncate { path: path.into(), size }
    }

    pub fn mkdir(path: impl Into<PathBuf>) -> Self {
        Self::Mkdir { path: path.into(), mode: 0o755 }
    }

    pub fn mkdir_mode(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::Mkdir { path: path.into(), mode }
    }

    pub fn remove(path: impl Into<PathBuf>) -> Self {
        Self::Remove { path: path.into() }
    }

    pub fn remove_all(path: impl Into<PathBuf>) -> Self {
        Self::RemoveAll { path: path.into() }
    }

    pub fn rename(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self::Rename { from: from.into(), to: to.into() }
    }

    pub fn link(existing: impl Into<PathBuf>, new: impl Into<PathBuf>) -> Self {
        Self::Link { existing: existing.into(), new: new.into() }
    }

    pub fn symlink(target: impl Into<PathBuf>, path: impl Into<PathBuf>) -> Self {
        Self::Symlink { target: target.into(), path: path.into() }
    }

    pub fn chown(path: impl Into<PathBuf>, uid: u32, gid: u32) -> Self {
        Self::Chown { path: path.into(), uid, gid }
    }

    pub fn chmod(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::Chmod { path: path.into(), mode }
    }

    pub fn utimes(path: impl Into<PathBuf>, seconds: i64, nanoseconds: u32) -> Self {
        Self::Utimes { path: path.into(), mtime: FileTime { seconds, nanoseconds } }
    }

    pub fn xattr(path: impl Into<PathBuf>, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self::SetXattr { path: path.into(), name: name.into(), value: value.as_ref().to_vec() }
    }

    pub fn remove_xattr(path: impl Into<PathBuf>, name: &str) -> Self {
        Self::RemoveXattr { path: path.into(), name: name.into() }
    }

    pub fn fifo(path: impl Into<PathBuf>) -> Self {
        Self::Fifo { path: path.into(), mode: 0o644 }
    }

    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self::Socket { path: path.into(), mode: 0o755 }
    }

    pub fn character(path: impl Into<PathBuf>, major: u32, minor: u32) -> Self {
        Self::Mknod { path: path.into(), device: Device::Character, major, minor, mode: 0o660 }
    }

    pub fn block(path: impl Into<PathBuf>, major: u32, minor: u32) -> Self {
        Self::Mknod { path: path.into(), device: Device::Block, major, minor, mode: 0o660 }
    }

    pub fn acl(path: impl Into<PathBuf>, kind: AclKind, uid: u32, permissions: u16) -> Self {
        Self::SetAcl { path: path.into(), kind, uid, permissions }
    }

    pub fn punch(path: impl Into<PathBuf>, offset: u64, length: u64) -> Self {
        Self::PunchHole { path: path.into(), offset, length }
    }
}

impl Op {
    /// Paths whose modification time the kernel sets to "now" by this operation.
    #[must_use]
    pub fn touched(&self) -> Vec<&Path> {
        match self {
            Self::CreateFile { path, .. }
            | Self::Mkdir { path, .. }
            | Self::Symlink { path, .. }
            | Self::Mknod { path, .. }
            | Self::Fifo { path, .. }
            | Self::Socket { path, .. } => {
                vec![path, directory_of(path)]
            }
            Self::Append { path, .. }
            | Self::Overwrite { path, .. }
            | Self::Truncate { path, .. }
            | Self::PunchHole { path, .. } => vec![path],
            Self::Remove { path } | Self::RemoveAll { path } => vec![directory_of(path)],
            Self::Rename { from, to } => vec![directory_of(from), directory_of(to)],
            Self::Link { new, .. } => vec![directory_of(new)],
            Self::Chown { .. }
            | Self::Chmod { .. }
            | Self::Utimes { .. }
            | Self::SetXattr { .. }
            | Self::RemoveXattr { .. }
            | Self::SetAcl { .. } => vec![],
        }
    }

    /// The file whose inode this operation changes, so that an overlay must copy it up.
    #[must_use]
    pub fn writes_to(&self) -> Option<&Path> {
        match self {
            Self::Append { path, .. }
            | Self::Overwrite { path, .. }
            | Self::Truncate { path, .. }
            | Self::PunchHole { path, .. }
            | Self::Chown { path, .. }
            | Self::Chmod { path, .. }
            | Self::Utimes { path, .. }
            | Self::SetXattr { path, .. }
            | Self::RemoveXattr { path, .. }
            | Self::SetAcl { path, .. } => Some(path),
            Self::Rename { from, .. } => Some(from),
            Self::Link { existing, .. } => Some(existing),
            _ => None,
        }
    }

    /// Names that are no longer what they were in the layer below.
    #[must_use]
    pub fn replaces(&self) -> Vec<&Path> {
        match self {
            Self::Remove { path } | Self::RemoveAll { path } => vec![path],
            Self::Rename { from, to } => vec![from, to],
            _ => vec![],
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A path for people: control characters and bytes that are not UTF-8 are escaped, long names are cut.
#[must_use]
pub fn show(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    match bytes.len() {
        0 => "/".to_owned(),
        1..=80 => bytes.escape_ascii().to_string(),
        len => format!("{}... ({len} bytes)", bytes[..40].escape_ascii()),
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFile { path, data, mode } => write!(f, "create {} {data:?} mode {mode:o}", show(path)),
            Self::Append { path, data } => write!(f, "append {} {data:?}", show(path)),
            Self::Overwrite { path, offset, data } => write!(f, "overwrite {} at {offset} {data:?}", show(path)),
            Self::Truncate { path, size } => write!(f, "truncate {} to {size}", show(path)),
            Self::Mkdir { path, mode } => write!(f, "mkdir {} mode {mode:o}", show(path)),
            Self::Remove { path } => write!(f, "remove {}", show(path)),
            Self::RemoveAll { path } => write!(f, "remove-all {}", show(path)),
            Self::Rename { from, to } => write!(f, "rename {} to {}", show(from), show(to)),
            Self::Link { existing, new } => write!(f, "link {} as {}", show(existing), show(new)),
            Self::Symlink { target, path } => write!(f, "symlink {} -> {}", show(path), show(target)),
            Self::Mknod { path, device, major, minor, mode } => {
                write!(f, "mknod {} {device:?} {major}:{minor} mode {mode:o}", show(path))
            }
            Self::Fifo { path, mode } => write!(f, "mkfifo {} mode {mode:o}", show(path)),
            Self::Socket { path, mode } => write!(f, "socket {} mode {mode:o}", show(path)),
            Self::Chown { path, uid, gid } => write!(f, "chown {} {uid}:{gid}", show(path)),
            Self::Chmod { path, mode } => write!(f, "chmod {} {mode:o}", show(path)),
            Self::Utimes { path, mtime } => {
                write!(f, "utimes {} {}.{:09}", show(path), mtime.seconds, mtime.nanoseconds)
            }
            Self::SetXattr { path, name, value } => {
                write!(f, "setxattr {} {name}={}", show(path), value.escape_ascii())
            }
            Self::RemoveXattr { path, name } => write!(f, "removexattr {} {name}", show(path)),
            Self::SetAcl { path, kind, uid, permissions } => {
                write!(f, "setacl {} {kind:?} user:{uid}:{permissions:o}", show(path))
            }
            Self::PunchHole { path, offset, length } => write!(f, "punch {} {offset}+{length}", show(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_data_has_its_length_and_depends_on_its_seed() {
        let data = |seed, len| Data::Random { seed, len }.to_bytes();
        for len in [0, 1, 7, 8, 9, 4097] {
            assert_eq!(data(1, len).len(), len);
        }
        assert_eq!(data(1, 100), data(1, 100));
        assert_ne!(data(1, 100), data(2, 100));
    }

    #[test]
    fn the_kernel_touches_a_new_file_and_its_directory() {
        let op = Op::file("d/f", "x");
        assert_eq!(op.touched(), [Path::new("d/f"), Path::new("d")]);
        assert_eq!(Op::remove("f").touched(), [Path::new("")]);
    }

    #[test]
    fn paths_are_shown_on_one_line() {
        assert_eq!(show(Path::new("a\nb")), "a\\nb");
        assert_eq!(show(Path::new("")), "/");
        assert!(show(Path::new(&"x".repeat(255))).contains("255 bytes"));
    }
}
