use rustix::fs::{FileType, Stat, major, minor};

/// What kind of inode it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NodeKind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

/// What one lstat(2) says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub kind: NodeKind,
    /// `st_mode & 07777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub nlink: u64,
    pub inode: Inode,
    pub device: (u32, u32),
}

/// Tells inodes apart, as long as none of them is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Inode {
    pub dev: u64,
    pub ino: u64,
}

impl Node {
    /// The device number that overlayfs uses for whiteouts (kernel: Documentation/filesystems/overlayfs.rst).
    pub const WHITEOUT: (u32, u32) = (0, 0);

    pub const fn is_dir(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    pub const fn is_file(&self) -> bool {
        matches!(self.kind, NodeKind::File)
    }

    pub fn is_whiteout_device(&self) -> bool {
        self.kind == NodeKind::CharDevice && self.device == Self::WHITEOUT
    }
}

// The fields' types differ between architectures.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
impl From<Stat> for Node {
    fn from(stat: Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharDevice,
            FileType::BlockDevice => NodeKind::BlockDevice,
            FileType::RegularFile | FileType::Unknown => NodeKind::File,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            nlink: stat.st_nlink as u64,
            inode: Inode { dev: stat.st_dev as u64, ino: stat.st_ino as u64 },
            device: (major(stat.st_rdev), minor(stat.st_rdev)),
        }
    }
}
