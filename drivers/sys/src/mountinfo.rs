//! /proc/self/mountinfo: what is mounted where (proc_pid_mountinfo(5)).

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// One mount of this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// The mount's own number.
    pub id: u64,
    /// The number of the mount that it is on.
    pub parent: u64,
    /// `st_dev` of its files, as major and minor number.
    pub device: (u32, u32),
    /// Which directory of the file system is mounted.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Options of this mount: `rw`, `relatime`, ...
    pub options: String,
    /// File system type, such as `overlay`.
    pub fs_type: String,
    /// What was mounted, as the file system sees it.
    pub source: OsString,
    /// Options of the file system, which all its mounts share.
    pub super_options: String,
}

/// All mounts of this process's namespace, in the order of the kernel.
///
/// # Errors
/// When /proc is not there.
pub fn all() -> io::Result<Vec<MountInfo>> {
    /// Files in /proc have no size to go by, and each read(2) of this one finds its place again from the beginning.
    const USUAL: usize = 16 * 1024;
    let mut text = Vec::with_capacity(USUAL);
    fs::File::open("/proc/self/mountinfo")?.read_to_end(&mut text)?;
    Ok(parse(&text))
}

/// The mounts at or below `path`, which must be absolute and free of symlinks.
///
/// # Errors
/// When /proc is not there.
pub fn below(path: &Path) -> io::Result<Vec<MountInfo>> {
    Ok(all()?.into_iter().filter(|mount| mount.mount_point.starts_with(path)).collect())
}

/// The mount that `path`, absolute and free of symlinks, is on.
///
/// # Errors
/// When /proc is not there.
pub fn holding(path: &Path) -> io::Result<Option<MountInfo>> {
    // Of several mounts on one directory the last hides the others.
    let length = |mount: &MountInfo| mount.mount_point.as_os_str().len();
    Ok(all()?.into_iter().filter(|mount| path.starts_with(&mount.mount_point)).max_by_key(length))
}

/// Parses the file's text; lines that are not of its form are left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<MountInfo> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountInfo> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut field = || fields.next();
    let id = number(field()?)?;
    let parent = number(field()?)?;
    let device = device(field()?)?;
    let root = unescape(field()?).into();
    let mount_point = unescape(field()?).into();
    let options = text(field()?);
    // Optional fields, of any number, end with a hyphen.
    while field()? != b"-" {}
    let fs_type = text(field()?);
    let source = unescape(field()?);
    let super_options = text(field().unwrap_or_default());
    Some(MountInfo { id, parent, device, root, mount_point, options, fs_type, source, super_options })
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let mut parts = field.split(|&byte| byte == b':');
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

fn text(field: &[u8]) -> String {
    unescape(field).to_string_lossy().into_owned()
}

/// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = if first == b'\\' { tail.get(..3).and_then(octal) } else { None };
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| (b'0'..=b'7').contains(byte).then(|| u16::from(byte - b'0'));
    let value = digits.iter().try_fold(0u16, |value, byte| Some(value * 8 + digit(byte)?))?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_every_shape() {
        let text = b"23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
            45 23 0:40 /sub\\040dir /mnt/a\\134b\\011c rw,nosuid shared:1 master:2 - overlay none rw,lowerdir=/l\\072x\n\
            garbage\n\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].mount_point, Path::new("/"));
        assert_eq!(mounts[0].source, "/dev/sda1");
        assert_eq!(mounts[1].root, Path::new("/sub dir"));
        assert_eq!(mounts[1].mount_point, Path::new("/mnt/a\\b\tc"));
        assert_eq!((mounts[1].id, mounts[1].parent, mounts[1].device), (45, 23, (0, 40)));
        assert_eq!(mounts[1].fs_type, "overlay");
        assert_eq!(mounts[1].super_options, "rw,lowerdir=/l:x");
    }

    #[test]
    fn a_backslash_without_octal_digits_stays() {
        assert_eq!(unescape(b"a\\9x\\12"), OsString::from("a\\9x\\12"));
        assert_eq!(unescape(b"\\777"), OsString::from("\\777"));
    }

    #[test]
    fn finds_the_mount_that_holds_a_path() {
        let proc = holding(Path::new("/proc/self")).unwrap().unwrap();
        assert_eq!(proc.fs_type, "proc");
        assert!(below(Path::new("/proc")).unwrap().iter().any(|mount| mount.mount_point == Path::new("/proc")));
    }
}
