//! What a case must not leave behind.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use rustix::mount::UnmountFlags;

use crate::{Stop, Verdict};

/// Fails when anything is mounted below `room`, or when a driver's root in it has half-made or half-removed layers, or holds.
pub fn check(room: &Path) -> Verdict {
    let mounts = mounts_below(room)?;
    if !mounts.is_empty() {
        return Err(Stop::failed(format!("still mounted after the case: {}", show(&mounts))));
    }
    for place in ["root/staging", "root/trash", "root/held", "peer/staging", "peer/trash", "peer/held"] {
        let left = entries(&room.join(place))?;
        if !left.is_empty() {
            return Err(Stop::failed(format!("left over after the case: {}", show(&left))));
        }
    }
    Ok(())
}

/// Detaches whatever a failed case left mounted, so that the next one starts clean.
pub fn sweep(room: &Path) {
    let Ok(mut mounts) = mounts_below(room) else { return };
    mounts.sort();
    for path in mounts.iter().rev() {
        if let Err(error) = rustix::mount::unmount(path, UnmountFlags::DETACH) {
            tracing::warn!(path = %path.display(), %error, "cannot detach what a failed case left mounted");
        }
    }
}

/// Mount points below `room`, from `/proc/self/mountinfo`; see proc_pid_mountinfo(5).
fn mounts_below(room: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.map(unescape).filter(|point| point != room && point.starts_with(room)).collect())
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = vec![];
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn show(paths: &[PathBuf]) -> String {
    let shown = |path: &PathBuf| path.as_os_str().as_bytes().escape_ascii().to_string();
    paths.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape(b"/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape(b"/a\\04"), Path::new("/a\\04"));
    }

    #[test]
    fn half_removed_layers_are_found() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(check(room.path()), Ok(()));
        fs::create_dir_all(room.path().join("root/trash/0")).unwrap();
        assert!(check(room.path()).is_err());
    }
}
