use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use storage_driver::Bytes;
use storage_layer::{Digest, DigestReader};
use storage_root::Durability;

use crate::{BlobWriter, Error, Result, blob_writer::UnhashedBlob, durable};

/// Documents (manifests, configurations) above this size are refused; layers have no such limit.
const MAX_DOCUMENT: u64 = 16 << 20;

/// A piece of content in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its name: the SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub size: Bytes,
}

/// The store's content, each piece named by its digest: `blobs/sha256/<hex>` of an OCI image layout.
#[derive(Debug)]
pub struct Blobs {
    root: PathBuf,
    dir: PathBuf,
    tmp: PathBuf,
    durability: Durability,
}

impl Blobs {
    /// Makes the directories where they are missing.
    pub(crate) fn open(root: &Path, durability: Durability) -> Result<Self> {
        let (dir, tmp) = (root.join("blobs/sha256"), root.join("tmp"));
        for dir in [&dir, &tmp] {
            fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        }
        Ok(Self { root: root.to_owned(), dir, tmp, durability })
    }

    /// Where a blob is, or would be.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.hex())
    }

    /// Whether a blob is there.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// A blob's length.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], or what the file system says.
    pub fn size(&self, digest: &Digest) -> Result<Bytes> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Bytes(metadata.len())),
            Err(error) => Err(missing_or_io(digest, path, error)),
        }
    }

    /// Opens a blob as it is, for a reader that checks the content itself.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], or what the file system says.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| missing_or_io(digest, path, error))
    }

    /// Opens a blob so that reading it to its end fails unless the content has its digest.
    ///
    /// # Errors
    /// As [`open_blob`](Self::open_blob).
    pub fn open_verified(&self, digest: &Digest) -> Result<VerifiedBlob> {
        let file = self.open_blob(digest)?;
        Ok(VerifiedBlob { state: Some(DigestReader::new(file)), expected: *digest, path: self.path(digest) })
    }

    /// Reads a document, at most 16 MiB, and checks its digest.
    ///
    /// # Errors
    /// [`Error::MissingBlob`]; [`Error::Corrupt`] when the content does not have its digest.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let file = self.open_blob(digest)?;
        file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(Error::Corrupt { path, why: "a document of an image cannot be larger than 16 MiB".into() });
        }
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::Corrupt { path, why: damaged(&found) });
        }
        Ok(bytes)
    }

    /// Starts a blob.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(&self) -> Result<BlobWriter<'_>> {
        BlobWriter::new(self)
    }

    /// Starts a blob that somebody else hashes while it is written.
    pub(crate) fn create_unhashed(&self) -> Result<UnhashedBlob<'_>> {
        UnhashedBlob::new(self)
    }

    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob> {
        let digest = Digest::of(bytes);
        if let Some(blob) = self.present(digest, Bytes(bytes.len() as u64))? {
            return Ok(blob);
        }
        let mut writer = self.create()?;
        writer.write_all(bytes).map_err(Error::io("write", self.path(&digest)))?;
        writer.commit()
    }

    /// All blobs there are; files that are not named by a digest are left alone.
    ///
    /// # Errors
    /// What the file system says.
    pub fn list(&self) -> Result<Vec<Blob>> {
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(Error::io("read", &self.dir))? {
            let entry = entry.map_err(Error::io("read", &self.dir))?;
            let name = entry.file_name();
            let Some(digest) = name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok()) else { continue };
            match entry.metadata() {
                Ok(metadata) => blobs.push(Blob { digest, size: Bytes(metadata.len()) }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", entry.path())(error)),
            }
        }
        blobs.sort_by_key(|blob| blob.digest);
        Ok(blobs)
    }

    /// Deletes a blob and says how large it was; the caller holds the exclusive lease.
    pub(crate) fn delete(&self, digest: &Digest) -> Result<Bytes> {
        let path = self.path(digest);
        let size = match fs::metadata(&path) {
            Ok(metadata) => Bytes(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Bytes(0)),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        fs::remove_file(&path).map_err(Error::io("delete", path))?;
        Ok(size)
    }

    /// Deletes what dead writers left; the caller holds the exclusive lease, so that there are no others.
    pub(crate) fn clean(&self) -> Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.tmp).map_err(Error::io("read", &self.tmp))? {
            let path = entry.map_err(Error::io("read", &self.tmp))?.path();
            fs::remove_file(&path).map_err(Error::io("delete", &path))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Whether dead writers may have left something.
    pub(crate) fn has_temporaries(&self) -> Result<bool> {
        let mut entries = fs::read_dir(&self.tmp).map_err(Error::io("read", &self.tmp))?;
        Ok(entries.next().is_some())
    }

    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// Where they are: the store that they belong to.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) const fn durability(&self) -> Durability {
        self.durability
    }

    /// The blob, when it is there already in full length. Whoever wrote it may not have synced it yet, or may
    /// not have been asked to.
    pub(crate) fn present(&self, digest: Digest, size: Bytes) -> Result<Option<Blob>> {
        match self.open_blob(&digest) {
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.len() == size.get()) => {
                if self.durability.syncs() {
                    file.sync_all().map_err(Error::io("sync", self.path(&digest)))?;
                    durable::sync_directory(&self.dir, self.durability)?;
                }
                Ok(Some(Blob { digest, size }))
            }
            Ok(_) | Err(Error::MissingBlob { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A blob being read; at its end the digest is checked.
pub struct VerifiedBlob {
    state: Option<DigestReader<File>>,
    expected: Digest,
    path: PathBuf,
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.state else { return Ok(0) };
        let count = reader.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(reader) = self.state.take()
        {
            let (_, found, _) = reader.finish();
            if found != self.expected {
                let path = self.path.clone();
                let error = Error::Corrupt { path, why: damaged(&found) };
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(count)
    }
}

impl fmt::Debug for VerifiedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBlob").field("path", &self.path).finish_non_exhaustive()
    }
}

pub(crate) fn mismatch(found: &Digest) -> String {
    format!("its content has the digest {found}")
}

fn damaged(found: &Digest) -> String {
    format!("its content has the digest {found}; delete this file, then make or load again the image that needs it")
}

fn missing_or_io(digest: &Digest, path: PathBuf, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::MissingBlob { digest: *digest, path },
        _ => Error::io("open", path)(error),
    }
}
