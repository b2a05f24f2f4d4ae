//! Blobs on their way into the store.

use std::{
    fmt,
    io::{self, BufWriter, Write},
};

use storage_driver::Bytes;
use storage_layer::{Digest, DigestWriter};
use storage_sys::writeout;
use tempfile::NamedTempFile;

use crate::{Blob, Blobs, Error, Lease, Result, blobs::mismatch, durable};

/// Content in pieces this large keeps the number of system calls and of hash calls low.
const BUFFER: usize = 256 << 10;

/// So much of a blob goes to the disk at once.
const WRITE_OUT: u64 = 8 << 20;

/// A blob being written: hashed on the way, in the store only once it is [`commit`](Self::commit)ted.
pub struct BlobWriter<'a> {
    blobs: &'a Blobs,
    out: BufWriter<DigestWriter<Growing>>,
    lease: Lease,
}

impl<'a> BlobWriter<'a> {
    pub(crate) fn new(blobs: &'a Blobs) -> Result<Self> {
        let lease = Lease::shared(blobs.root())?;
        let out = BufWriter::with_capacity(BUFFER, DigestWriter::new(Growing::new(blobs)?));
        Ok(Self { blobs, out, lease })
    }

    /// Puts the blob into the store, where it is durable when this returns. Content that is there already is
    /// kept once.
    ///
    /// # Errors
    /// What the file system says; the store is then as before.
    pub fn commit(self) -> Result<Blob> {
        let finished = self.finish()?;
        let blob = finished.blob;
        finished.publish()?;
        Ok(blob)
    }

    /// As [`commit`](Self::commit), for content that was said to have this digest.
    ///
    /// # Errors
    /// [`Error::WrongContent`] when it has another one; what the file system says.
    pub fn commit_as(self, digest: &Digest) -> Result<Blob> {
        let finished = self.finish()?;
        let blob = finished.blob;
        if blob.digest != *digest {
            return Err(Error::WrongContent { digest: *digest, why: mismatch(&blob.digest) });
        }
        finished.publish()?;
        Ok(blob)
    }

    /// Ends the writing: the digest is known, the blob not yet in the store.
    pub(crate) fn finish(self) -> Result<FinishedBlob<'a>> {
        let blobs = self.blobs;
        let out =
            self.out.into_inner().map_err(|error| Error::io("write a blob to", blobs.tmp())(error.into_error()))?;
        let (out, digest, size) = out.finish();
        Ok(FinishedBlob { blobs, file: out.file, blob: Blob { digest, size }, lease: self.lease })
    }
}

/// A blob being written, whose digest somebody else finds out.
#[derive(Debug)]
pub(crate) struct UnhashedBlob<'a> {
    blobs: &'a Blobs,
    out: Growing,
    lease: Lease,
}

impl<'a> UnhashedBlob<'a> {
    pub(crate) fn new(blobs: &'a Blobs) -> Result<Self> {
        let lease = Lease::shared(blobs.root())?;
        Ok(Self { blobs, out: Growing::new(blobs)?, lease })
    }

    /// Ends the writing, with the digest of all that was written.
    pub fn finish(self, digest: Digest) -> FinishedBlob<'a> {
        let blob = Blob { digest, size: Bytes(self.out.written) };
        FinishedBlob { blobs: self.blobs, file: self.out.file, blob, lease: self.lease }
    }
}

impl Write for UnhashedBlob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file of a blob that grows. One that is to be durable goes to the disk meanwhile, so that the sync has less to wait for.
#[derive(Debug)]
struct Growing {
    file: NamedTempFile,
    is_early: bool,
    written: u64,
    /// So much is on its way.
    started: u64,
}

impl Growing {
    fn new(blobs: &Blobs) -> Result<Self> {
        let file = durable::temporary(blobs.tmp(), 0o444)?;
        Ok(Self { file, is_early: blobs.durability().syncs(), written: 0, started: 0 })
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        let waiting = self.written - self.started;
        if self.is_early && waiting >= WRITE_OUT {
            // Whoever refuses this will not refuse the sync, which is what counts.
            self.is_early = writeout::start(self.file.as_file(), self.started, waiting).is_ok();
            self.started = self.written;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blob that is written and not yet in the store.
#[derive(Debug)]
pub(crate) struct FinishedBlob<'a> {
    blobs: &'a Blobs,
    file: NamedTempFile,
    pub blob: Blob,
    #[allow(dead_code)] // Held until the blob is in the store.
    lease: Lease,
}

impl FinishedBlob<'_> {
    /// Puts it there.
    pub fn publish(self) -> Result<()> {
        if self.blobs.present(self.blob.digest, self.blob.size)?.is_some() {
            return Ok(());
        }
        durable::publish(self.file, &self.blobs.path(&self.blob.digest), self.blobs.durability())
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl fmt::Debug for BlobWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter").field("tmp", &self.blobs.tmp()).finish_non_exhaustive()
    }
}
