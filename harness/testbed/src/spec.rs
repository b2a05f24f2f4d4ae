use std::{fmt, path::PathBuf, str::FromStr};

use crate::Error;

/// File systems that a testbed can be made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4.
    #[default]
    Ext4,
    /// xfs with reflinks.
    Xfs,
    /// btrfs.
    Btrfs,
    /// None: the device is the driver's own, as it is.
    Raw,
}

impl FileSystem {
    /// The name in /proc/filesystems, or `raw`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Raw => "raw",
        }
    }
}

/// Which testbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A file as a device, made for the run.
    Loop {
        /// What is on it; the default where that is left open.
        file_system: Option<FileSystem>,
        /// Bytes.
        size: u64,
        /// Made and mounted such that quotas are enforced: of projects, on btrfs of subvolumes.
        quota: bool,
        /// The file is in memory and not on the disk that holds the data directory.
        memory: bool,
    },
    /// A directory, as it is.
    Dir(PathBuf),
    /// A block device, which is overwritten.
    Dev {
        /// The device.
        path: PathBuf,
        /// What is put on it; the default where that is left open.
        file_system: Option<FileSystem>,
        /// Made and mounted such that quotas are enforced: of projects, on btrfs of subvolumes.
        quota: bool,
        /// Whatever is on it may go. Else it must be empty, or have been a testbed before.
        force: bool,
    },
}

impl Spec {
    /// Large enough for the default workloads on a driver that copies everything.
    pub const DEFAULT_SIZE: u64 = 8 << 30;

    /// The same, with this file system where none was asked for.
    #[must_use]
    pub fn or_on(mut self, wanted: FileSystem) -> Self {
        if let Self::Loop { file_system, .. } | Self::Dev { file_system, .. } = &mut self {
            file_system.get_or_insert(wanted);
        }
        self
    }
}

impl Default for Spec {
    /// A loop device.
    fn default() -> Self {
        Self::Loop { file_system: None, size: Self::DEFAULT_SIZE, quota: false, memory: false }
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Spec { text: text.to_owned(), why: why.to_owned() };
        let cut = text.find([':', ',']).unwrap_or(text.len());
        let (kind, rest) = (&text[..cut], text.get(cut + 1..).unwrap_or_default());
        let parsed = |options: &str| Given::parse(options).map_err(|why| wrong(&why));
        match kind {
            "dir" if text.starts_with("dir:") && !rest.is_empty() => Ok(Self::Dir(rest.into())),
            "dev" if text.starts_with("dev:") && !rest.is_empty() => {
                let (path, options) = rest.split_once(',').unwrap_or((rest, ""));
                let Given { file_system, size: None, quota, force, memory: false } = parsed(options)? else {
                    return Err(wrong("a device has its own size, and is where it is"));
                };
                Ok(Self::Dev { path: path.into(), file_system, quota, force })
            }
            "dir" | "dev" => Err(wrong("it needs a path")),
            "loop" => {
                let Given { file_system, size, quota, force: false, memory } = parsed(rest)? else {
                    return Err(wrong("there is nothing to force with loop"));
                };
                Ok(Self::Loop { file_system, size: size.unwrap_or(Self::DEFAULT_SIZE), quota, memory })
            }
            _ => Err(wrong("unknown kind")),
        }
    }
}

/// What follows the kind.
#[derive(Debug, Default)]
struct Given {
    file_system: Option<FileSystem>,
    size: Option<u64>,
    quota: bool,
    force: bool,
    memory: bool,
}

impl Given {
    fn parse(text: &str) -> Result<Self, String> {
        let mut given = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ext4" => given.file_system = Some(FileSystem::Ext4),
                "xfs" => given.file_system = Some(FileSystem::Xfs),
                "btrfs" => given.file_system = Some(FileSystem::Btrfs),
                "raw" => given.file_system = Some(FileSystem::Raw),
                "quota" => given.quota = true,
                "force" => given.force = true,
                "memory" => given.memory = true,
                _ => {
                    let text = option.strip_prefix("size=").ok_or_else(|| format!("unknown option {option:?}"))?;
                    given.size = Some(bytes(text).ok_or_else(|| format!("{text:?} is no size from 64M on"))?);
                }
            }
        }
        Ok(given)
    }
}

/// A number with K, M, G or T, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.to_ascii_uppercase().chars().last()? {
        'K' => (&text[..text.len() - 1], 1 << 10),
        'M' => (&text[..text.len() - 1], 1 << 20),
        'G' => (&text[..text.len() - 1], 1 << 30),
        'T' => (&text[..text.len() - 1], 1 << 40),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes >= 64 << 20)
}

impl fmt::Display for Spec {
    /// In the form that is read, with the size that was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |set: bool, word: &'static str| if set { word } else { "" };
        let name = |file_system: &Option<FileSystem>| file_system.map_or("", FileSystem::name);
        match self {
            Self::Loop { file_system, size, quota, memory } => {
                let (size, unit) = if size.is_multiple_of(1 << 20) { (size >> 20, "M") } else { (*size, "") };
                let comma = word(file_system.is_some(), ",");
                let (quota, memory) = (word(*quota, ",quota"), word(*memory, ",memory"));
                write!(f, "loop:{}{comma}size={size}{unit}{quota}{memory}", name(file_system))
            }
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
            Self::Dev { path, file_system, quota, force } => {
                write!(f, "dev:{}", path.display())?;
                write!(f, "{}{}", word(file_system.is_some(), ","), name(file_system))?;
                write!(f, "{}{}", word(*quota, ",quota"), word(*force, ",force"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let read = |text: &str| text.parse::<Spec>().unwrap();
        let on = |file_system, size| Spec::Loop { file_system: Some(file_system), size, quota: false, memory: false };
        assert_eq!(read("loop"), Spec::default());
        assert_eq!(read("loop:raw"), on(FileSystem::Raw, Spec::DEFAULT_SIZE));
        assert_eq!(read("loop:xfs"), on(FileSystem::Xfs, Spec::DEFAULT_SIZE));
        assert_eq!(read("loop:btrfs,size=2G"), on(FileSystem::Btrfs, 2 << 30));
        assert_eq!(read("loop:ext4,size=512m"), on(FileSystem::Ext4, 512 << 20));
        assert_eq!(read("dir:/a:b"), Spec::Dir("/a:b".into()));
        let dev = Spec::Dev { path: "/dev/x".into(), file_system: Some(FileSystem::Xfs), quota: false, force: true };
        assert_eq!(read("dev:/dev/x,xfs,force"), dev);
        let quota = Spec::Loop { file_system: None, size: 100_000_000, quota: true, memory: false };
        assert_eq!(read("loop:quota,size=100000000"), quota);
        for spec in [
            "loop:xfs,size=2G,quota",
            "loop:memory,size=1G",
            "loop,size=100000000",
            "dir:/x",
            "dev:/dev/x,ext4",
            "dev:/x,force",
            "dev:/x",
        ] {
            assert_eq!(read(&read(spec).to_string()), read(spec));
        }
        assert_eq!(read("loop:quota").or_on(FileSystem::Btrfs), read("loop:btrfs,quota"));
        assert_eq!(read("loop:xfs").or_on(FileSystem::Btrfs), read("loop:xfs"));
        assert_eq!(read("dir:/x").or_on(FileSystem::Btrfs), read("dir:/x"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in [
            "",
            "lop",
            "loop:zfs",
            "loop:ext4,size=1",
            "loop:size=999999999T",
            "loop:force",
            "dir:",
            "dir,x",
            "dev:",
            "dev:/x,size=1G",
            "ß",
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains("dir:PATH"), "{text}: {error}");
        }
    }
}
