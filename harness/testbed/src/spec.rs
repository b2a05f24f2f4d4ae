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
}

impl FileSystem {
    /// The name in /proc/filesystems.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// Which testbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A file as a device, made for the run.
    Loop {
        /// What is on it.
        file_system: FileSystem,
        /// Bytes.
        size: u64,
    },
    /// A directory, as it is.
    Dir(PathBuf),
    /// A block device, empty before.
    Dev {
        /// The device.
        path: PathBuf,
        /// What is put on it.
        file_system: FileSystem,
    },
}

impl Spec {
    /// Large enough for the default workloads on a driver that copies everything.
    pub const DEFAULT_SIZE: u64 = 8 << 30;
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Spec { text: text.to_owned(), why: why.to_owned() };
        let (kind, rest) = text
            .split_once(':')
            .map_or_else(|| text.split_once(',').unwrap_or((text, "")), |(kind, rest)| (kind, rest));
        match kind {
            "dir" if !rest.is_empty() => Ok(Self::Dir(rest.into())),
            "dev" if !rest.is_empty() => {
                let (path, options) = rest.split_once(',').unwrap_or((rest, ""));
                let (file_system, size) = options_of(options).map_err(|why| wrong(&why))?;
                if size.is_some() {
                    return Err(wrong("a device has its own size"));
                }
                Ok(Self::Dev { path: path.into(), file_system })
            }
            "dir" | "dev" => Err(wrong("it needs a path")),
            "loop" => {
                let (file_system, size) = options_of(rest).map_err(|why| wrong(&why))?;
                Ok(Self::Loop { file_system, size: size.unwrap_or(Self::DEFAULT_SIZE) })
            }
            _ => Err(wrong("unknown kind")),
        }
    }
}

fn options_of(text: &str) -> Result<(FileSystem, Option<u64>), String> {
    let (mut file_system, mut size) = (FileSystem::default(), None);
    for option in text.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ext4" => file_system = FileSystem::Ext4,
            "xfs" => file_system = FileSystem::Xfs,
            "btrfs" => file_system = FileSystem::Btrfs,
            _ => {
                let text = option.strip_prefix("size=").ok_or_else(|| format!("unknown option {option:?}"))?;
                size = Some(bytes(text).ok_or_else(|| format!("{text:?} is no size from 64M on"))?);
            }
        }
    }
    Ok((file_system, size))
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop { file_system, size } => write!(f, "loop:{},size={}M", file_system.name(), size >> 20),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
            Self::Dev { path, file_system } => write!(f, "dev:{},{}", path.display(), file_system.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let read = |text: &str| text.parse::<Spec>().unwrap();
        let on = |file_system, size| Spec::Loop { file_system, size };
        assert_eq!(read("loop"), on(FileSystem::Ext4, Spec::DEFAULT_SIZE));
        assert_eq!(read("loop:xfs"), on(FileSystem::Xfs, Spec::DEFAULT_SIZE));
        assert_eq!(read("loop:btrfs,size=2G"), on(FileSystem::Btrfs, 2 << 30));
        assert_eq!(read("loop,size=512m"), on(FileSystem::Ext4, 512 << 20));
        assert_eq!(read("dir:/a:b"), Spec::Dir("/a:b".into()));
        assert_eq!(read("dev:/dev/x,xfs"), Spec::Dev { path: "/dev/x".into(), file_system: FileSystem::Xfs });
        for spec in ["loop:xfs,size=2G", "dir:/x", "dev:/dev/x,ext4"] {
            assert_eq!(read(&read(spec).to_string()), read(spec));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in
            ["", "lop", "loop:zfs", "loop:ext4,size=1", "loop:size=999999999T", "dir:", "dev:", "dev:/x,size=1G"]
        {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains("dir:PATH"), "{text}: {error}");
        }
    }
}
