//! Files that are there as a whole or not at all.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

use rustix::fs::{AtFlags, CWD, OFlags, linkat};

use crate::{Error, Result};

/// Writes a file of this mode that is there as a whole or not at all. What is no file, such as a pipe, is written to as it
/// is.
///
/// # Errors
/// Those of `write`, and what the file system says.
pub fn into_file<E: From<Error>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
) -> Result<(), E> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::io("open", path))?;
        return write(&mut BufWriter::new(file));
    }
    replace(path, mode, |file| write(file))
}

/// Puts what `write` writes in the place of the file at `path`, once it is on disk.
///
/// Until then it has no name, so that whoever is killed leaves nothing behind; a file system that has no such files is
/// given one whose name begins with `.tmp`.
///
/// # Errors
/// Those of `write`, and what the file system says. The file at `path` is then as before.
pub fn replace<E: From<Error>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match nameless(dir, mode).map_err(Error::io("create a file in", dir))? {
        Some(mut file) => {
            write(&mut file)?;
            file.sync_all().map_err(Error::io("sync", path))?;
            // A link cannot take another file's place, a name can.
            let named = tempfile::Builder::new().make_in(dir, |name| link(&file, name));
            let named = named.map_err(Error::io("write", path))?;
            named.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
        }
        None => {
            let builder = &mut tempfile::Builder::new();
            let file = builder.permissions(Permissions::from_mode(mode)).tempfile_in(dir);
            let mut file = file.map_err(Error::io("create a file in", dir))?;
            write(file.as_file_mut())?;
            file.as_file().sync_all().map_err(Error::io("sync", path))?;
            file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
        }
    }
    Ok(())
}

/// A file without a name (open(2), `O_TMPFILE`); `None` where the file system has none.
fn nameless(dir: &Path, mode: u32) -> io::Result<Option<File>> {
    let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or_default();
    match OpenOptions::new().write(true).mode(mode).custom_flags(flags).open(dir) {
        Ok(file) => Ok(Some(file)),
        // Kernels and file systems that know no such files see a directory that is opened for writing.
        Err(error) if error.kind() == io::ErrorKind::Unsupported || error.kind() == io::ErrorKind::IsADirectory => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Gives a nameless file a name (open(2): without privileges this goes by way of /proc).
fn link(file: &File, name: &Path) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, path, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let write = |text: &'static str| {
            move |file: &mut File| file.write_all(text.as_bytes()).map_err(Error::io("write", "x"))
        };
        for text in ["first", "second"] {
            replace(&path, 0o600, write(text)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let failed = replace(&path, 0o600, |file| {
            file.write_all(b"half").map_err(Error::io("write", "x"))?;
            // A process that is killed here leaves nothing.
            assert_eq!(names(), 1);
            Err(Error::refused("x", "y"))
        });
        assert!(failed.is_err());
        assert_eq!((names(), fs::read_to_string(&path).unwrap().as_str()), (1, "second"));
        let nowhere = dir.path().join("none/file");
        assert!(replace(&nowhere, 0o600, write("x")).unwrap_err().to_string().contains("none"));
    }
}
