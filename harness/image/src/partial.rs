use std::{
    fmt,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::retry_on_intr,
};
use storage_driver::Bytes;
use storage_layer::DigestWriter;

use crate::{Blob, Blobs, Error, Lease, Result, blobs::mismatch, durable};

/// Content read at once when what is there already is hashed again.
const BUFFER: usize = 256 << 10;

/// A blob whose digest and length are known before its content: what a registry sends.
///
/// It grows under `partial/<hex>`, beside the blobs. What was written until a process died is still there when the
/// next one asks for the same blob, which so goes on where the first one stopped; [`Store::gc`](crate::Store::gc)
/// takes away what nobody went on with. Processes that want the same blob write it one after the other.
pub struct PartialBlob<'a> {
    blobs: &'a Blobs,
    out: DigestWriter<File>,
    path: PathBuf,
    expected: Blob,
    written: u64,
    _lease: Lease,
}

impl Blobs {
    /// Starts a blob, or goes on with it; `None` when the store has it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn resume(&self, expected: Blob) -> Result<Option<PartialBlob<'_>>> {
        let lease = Lease::shared(self.root())?;
        if self.present(expected.digest, expected.size)?.is_some() {
            return Ok(None);
        }
        let dir = self.partials();
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let path = dir.join(expected.digest.hex());
        let file = lock_in_place(&path)?;
        // Whoever held the lock until now may have finished it.
        if self.present(expected.digest, expected.size)?.is_some() {
            fs::remove_file(&path).map_err(Error::io("delete", &path))?;
            return Ok(None);
        }
        let (out, written) = hash_again(file, expected.size, &path)?;
        Ok(Some(PartialBlob { blobs: self, out, path, expected, written, _lease: lease }))
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root().join("partial")
    }

    /// Deletes what nobody goes on with; the caller holds the exclusive lease, so that nobody is at it.
    pub(crate) fn clean_partials(&self) -> Result<usize> {
        let dir = self.partials();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(Error::io("read", dir)(error)),
        };
        let mut removed = 0;
        for entry in entries {
            let path = entry.map_err(Error::io("read", &dir))?.path();
            fs::remove_file(&path).map_err(Error::io("delete", &path))?;
            removed += 1;
        }
        Ok(removed)
    }
}

impl PartialBlob<'_> {
    /// How much of it is there: where to go on.
    #[must_use]
    pub const fn written(&self) -> Bytes {
        Bytes(self.written)
    }

    /// Forgets what is there, for a source that can only start at the beginning.
    ///
    /// # Errors
    /// What the file system says.
    pub fn restart(self) -> Result<Self> {
        let (mut file, ..) = self.out.finish();
        file.set_len(0).and_then(|()| io::Seek::rewind(&mut file)).map_err(Error::io("truncate", &self.path))?;
        Ok(Self { out: DigestWriter::new(file), written: 0, ..self })
    }

    /// Gives it up, also for others.
    ///
    /// # Errors
    /// What the file system says.
    pub fn discard(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io("delete", &self.path))
    }

    /// Puts the blob into the store, where it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::WrongContent`] when the bytes do not have the digest or the length that was asked for: they are gone
    /// then. What the file system says.
    pub fn commit(self) -> Result<Blob> {
        let (file, found, size) = self.out.finish();
        if found != self.expected.digest || size != self.expected.size {
            drop(file);
            fs::remove_file(&self.path).map_err(Error::io("delete", &self.path))?;
            let why = if size == self.expected.size {
                mismatch(&found)
            } else {
                format!("it has {} bytes, not {}", size.get(), self.expected.size.get())
            };
            return Err(Error::WrongContent { digest: self.expected.digest, why });
        }
        file.set_permissions(Permissions::from_mode(0o444)).map_err(Error::io("chmod", &self.path))?;
        durable::move_to(&file, &self.path, &self.blobs.path(&found), self.blobs.durability())?;
        Ok(self.expected)
    }
}

impl Write for PartialBlob<'_> {
    /// Refuses more than the blob can have, so that a source without an end does not fill the disk.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.expected.size.get() - self.written;
        if bytes.len() as u64 > left {
            let (digest, size) = (self.expected.digest, self.expected.size.get());
            let error = Error::WrongContent { digest, why: format!("more than its {size} bytes came") };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl fmt::Debug for PartialBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialBlob").field("expected", &self.expected).field("written", &self.written).finish()
    }
}

/// Opens the file and locks it. The one who held it may have moved it away meanwhile: then it is made anew.
fn lock_in_place(path: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(Error::io("lock", path))?;
        let held = file.metadata().map_err(Error::io("read", path))?;
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
}

/// The digest over what is there; what is longer than the blob is of no use.
fn hash_again(mut file: File, size: Bytes, path: &Path) -> Result<(DigestWriter<File>, u64)> {
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length > size.get() {
        file.set_len(0).map_err(Error::io("truncate", path))?;
    }
    let mut hash = DigestWriter::new(io::sink());
    let mut reader = BufReader::with_capacity(BUFFER, (&mut file).take(size.get()));
    let written = io::copy(&mut reader, &mut hash).map_err(Error::io("read", path))?;
    Ok((hash.with_inner(file), written))
}
