//! Mounts that outlive the driver that made them.
//!
//! `held/<layer>` says how and where the layer is mounted, and by whom for people. What counts is the lock (flock(2)) on
//! it: the holder keeps it, and it goes with that process, however it ends. A file that nobody has locked belongs to a
//! holder that is no more; who finds it takes away what is left of the mount, and then the file. So after a crash at any
//! moment there is a living hold or none. Only the owner of the root makes these files; the holder takes its own away
//! without owning the root.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use storage_driver::{Error, LayerId, MountMode, Result};

use crate::{lock::own_name, table::Unmount};

/// Where the holds are in a root.
pub const HELD: &str = "held";

/// What a hold's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saying {
    mode: MountMode,
    path: PathBuf,
    /// `st_dev` and `st_ino` of the merged tree's root: how another process sees whether it has the mount before it, which
    /// it has not from within another mount namespace.
    device: u64,
    inode: u64,
    pid: u32,
    holder: String,
}

/// A hold as everybody but its holder sees it.
#[derive(Debug, Clone)]
pub struct Hold {
    file: PathBuf,
    saying: Saying,
}

/// What has become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its holder lives.
    Living,
    /// Its holder has ended without closing it.
    Left,
    /// It was closed.
    Closed,
}

/// The right to a mount, for as long as the holder lives.
#[derive(Debug)]
pub struct Holder {
    path: PathBuf,
    file: File,
}

impl Hold {
    /// Makes the file of a mount that this process is to hold. The root must be this process's.
    pub fn make(root: &Path, id: &LayerId, mode: MountMode, path: &Path) -> Result<(Self, Holder)> {
        let shown = fs::metadata(path).map_err(Error::io("examine", path))?;
        let (device, inode, pid) = (shown.dev(), shown.ino(), std::process::id());
        let saying = Saying { mode, path: path.to_owned(), device, inode, pid, holder: own_name() };
        let file = root.join(HELD).join(id.as_str());
        let holder = Holder::make(&file, &saying)?;
        Ok((Self { file, saying }, holder))
    }

    /// The hold whose file this is, while its holder lives; one whose holder has ended is no error.
    fn find(file: &Path) -> Result<(Life, Option<Self>)> {
        let life = life(file)?;
        if life != Life::Living {
            return Ok((life, None));
        }
        let json = match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Life::Closed, None)),
            read => read.map_err(Error::io("read", file))?,
        };
        let saying = serde_json::from_slice(&json).map_err(|error| Error::Corrupt {
            path: file.to_owned(),
            why: format!("it is locked and does not tell what is held ({error}); end the process that has it open"),
        })?;
        Ok((life, Some(Self { file: file.to_owned(), saying })))
    }

    pub const fn mode(&self) -> MountMode {
        self.saying.mode
    }

    pub fn path(&self) -> &Path {
        &self.saying.path
    }

    /// "process 4711 (harness run web)".
    pub fn holder(&self) -> &str {
        &self.saying.holder
    }

    pub fn life(&self) -> Result<Life> {
        life(&self.file)
    }

    /// Takes away the file of a holder that has ended, whose mount is gone.
    pub fn forget(&self) -> Result<()> {
        forget(&self.file)
    }

    /// Whether this process sees the mount.
    pub fn is_here(&self) -> bool {
        let same = |shown: fs::Metadata| shown.dev() == self.saying.device && shown.ino() == self.saying.inode;
        fs::metadata(self.path()).is_ok_and(same)
    }
}

impl Holder {
    fn make(path: &Path, saying: &Saying) -> Result<Self> {
        let mut options = OpenOptions::new();
        // Close-on-exec, as all files of Rust's standard library: nobody inherits the lock for longer than until its exec.
        let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(Error::io("create", path))?;
        let mut holder = Self { path: path.to_owned(), file };
        let said = holder.lock_and_say(saying);
        said.map_err(|error| {
            _ = fs::remove_file(path);
            Error::io("write", path)(error)
        })?;
        Ok(holder)
    }

    fn lock_and_say(&mut self, saying: &Saying) -> io::Result<()> {
        flock(&self.file, FlockOperation::NonBlockingLockExclusive)?;
        let mut json = serde_json::to_vec_pretty(saying)?;
        json.push(b'\n');
        self.file.write_all(&json)
    }

    /// Unmounts. Where that fails the file stays, without its lock, for the next who looks.
    pub fn end(self, unmount: Unmount, mounted: &Path) -> Result<()> {
        unmount(mounted)?;
        self.discard()
    }

    /// Takes the file away.
    pub fn discard(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

impl Drop for Holder {
    /// Closing the file is not enough: a process that another thread has forked and that has not got to its exec
    /// yet has the same open file description.
    fn drop(&mut self) {
        _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// All living holds of a root by their layers, and the files that ended holders left.
#[derive(Debug, Default)]
pub struct Found {
    pub living: Vec<(LayerId, Hold)>,
    pub left: Vec<PathBuf>,
}

impl Found {
    pub fn in_root(root: &Path) -> Result<Self> {
        let mut found = Self::default();
        for file in super::open::entries(&root.join(HELD))? {
            let id = file.file_name().and_then(|name| name.to_str()).and_then(|name| LayerId::new(name).ok());
            match (Hold::find(&file)?, id) {
                ((Life::Closed, _), _) => {}
                ((Life::Living, Some(hold)), Some(id)) => found.living.push((id, hold)),
                _ => found.left.push(file),
            }
        }
        Ok(found)
    }
}

/// Takes away the file of a holder that has ended.
pub fn forget(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", file)(error)),
        _ => Ok(()),
    }
}

fn life(path: &Path) -> Result<Life> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Life::Closed),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    // Shared, so that two who look at once do not take one another for the holder.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => return Ok(Life::Living),
        locked => locked.map_err(Error::io("lock", path))?,
    }
    let linked = file.metadata().map(|found| found.nlink() > 0);
    _ = flock(&file, FlockOperation::Unlock);
    // It was unlocked after it was taken away; or it was only unlocked.
    Ok(if linked.map_err(Error::io("examine", path))? { Life::Left } else { Life::Closed })
}
