//! One blob from a source into the store.

use std::{
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use harness_image::{Blob, Blobs, PartialBlob};
use storage_driver::Bytes;

use crate::{Done, Error, Result, Watch, source::Source};

const BUFFER: usize = 256 << 10;

/// A source that sends so much before it stops is tried again as if for the first time.
const PROGRESS: u64 = 1 << 20;

/// Before the first new attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// Fetches a blob unless the store has it. What came before a failure is kept, and the next attempt, of this process
/// or of another, goes on there.
pub fn fetch(blobs: &Blobs, source: &dyn Source, blob: &Blob, watch: &dyn Watch) -> Result<()> {
    let Some(mut partial) = blobs.resume(*blob)? else {
        watch.done(&blob.digest, Done::Present);
        return Ok(());
    };
    watch.begin(&blob.digest, blob.size);
    let mut failures = 0;
    loop {
        let before = partial.written().get();
        let why = match attempt(source, blob, partial, watch)? {
            Attempt::Whole(whole) => {
                whole.commit().map_err(|error| Error::refused(source.origin(), error.to_string()))?;
                watch.done(&blob.digest, Done::Moved);
                return Ok(());
            }
            Attempt::Part(part, why) => {
                partial = part;
                why
            }
        };
        failures = if partial.written().get() >= before + PROGRESS { 1 } else { failures + 1 };
        if failures > source.retries() {
            return Err(why);
        }
        tracing::debug!(blob = %blob.digest, at = partial.written().get(), error = %why, "trying again");
        thread::sleep(PAUSE * 2_u32.pow(failures.min(6) - 1));
    }
}

enum Attempt<'a> {
    Whole(PartialBlob<'a>),
    /// Some of it, and why no more.
    Part(PartialBlob<'a>, Error),
}

fn attempt<'a>(source: &dyn Source, blob: &Blob, partial: PartialBlob<'a>, watch: &dyn Watch) -> Result<Attempt<'a>> {
    let mut partial = partial;
    let start = partial.written().get();
    if start == blob.size.get() {
        return Ok(Attempt::Whole(partial));
    }
    let mut stream = match source.open(blob, start) {
        Ok(stream) => stream,
        Err(error) if error.may_pass() => return Ok(Attempt::Part(partial, error)),
        Err(error) => return Err(error),
    };
    if stream.start != start {
        if stream.start != 0 {
            let why = format!("asked for blob {} from byte {start}, it sent it from {}", blob.digest, stream.start);
            return Err(Error::refused(source.origin(), why));
        }
        partial = partial.restart()?;
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.body.read(&mut buffer) {
            Ok(0) if partial.written() == blob.size => return Ok(Attempt::Whole(partial)),
            Ok(0) => {
                let why = format!("blob {} ended after {} of {} bytes", blob.digest, partial.written().0, blob.size.0);
                return Ok(Attempt::Part(partial, Error::refused(source.origin(), why)));
            }
            Ok(count) => {
                partial.write_all(&buffer[..count]).map_err(|error| write_failed(source, blob, error))?;
                watch.moved(Bytes(count as u64));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Attempt::Part(partial, Error::Read { origin: source.origin(), source: error })),
        }
    }
}

/// Either the source sends more than there can be, or the disk does not take it.
fn write_failed(source: &dyn Source, blob: &Blob, error: io::Error) -> Error {
    match error.downcast::<harness_image::Error>() {
        Ok(wrong) => Error::refused(source.origin(), wrong.to_string()),
        Err(error) => Error::Store(harness_image::Error::Io {
            op: "write blob",
            path: blob.digest.to_string().into(),
            source: error,
        }),
    }
}
