use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use storage_driver::{Error, Result};

/// The right to use a root, held until dropped.
///
/// flock(2) belongs to the open file description: it goes when the process ends, however it ends, and also
/// keeps a second opening within the same process out. The file is opened close-on-exec, so containers do not
/// inherit it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    pub fn take(root: &Path) -> Result<Self> {
        let path = root.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::Locked { root: root.to_owned(), holder: holder(&mut file) });
            }
            Err(error) => return Err(Error::io("lock", path)(error)),
        }
        // Who holds it is for people only: failing to say so is no reason to fail.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(own_name().as_bytes()));
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a process that another thread has forked and that has not got to its exec
    /// yet holds the same open file description.
    fn drop(&mut self) {
        _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// This process, for people.
pub fn own_name() -> String {
    let command: Vec<_> = std::env::args_os().take(4).map(|arg| arg.to_string_lossy().into_owned()).collect();
    format!("process {} ({})", std::process::id(), command.join(" "))
}

fn holder(file: &mut File) -> String {
    let mut name = String::new();
    let read = file.take(512).read_to_string(&mut name);
    if read.is_err() || name.is_empty() { "another process".to_owned() } else { name }
}
