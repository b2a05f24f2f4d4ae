//! One blob from a source into the store.

use std::{
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use harness_image::{Blob, Blobs, PartialBlob};
use storage_driver::Bytes;

use crate::{Done, Error, Result, Watch, room, source::Source};

const BUFFER: usize = 256 << 10;

/// A source that sends so much before it stops is tried again as if for the first time.
const PROGRESS: u64 = 1 << 20;

/// Before the first new attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// Fetches a blob unless the store has it. What came before a failure is kept, and the next attempt, of this process
/// or of another, goes on there. When what was put together in this way is not the blob, it is fetched anew, once.
pub fn fetch(blobs: &Blobs, source: &dyn Source, blob: &Blob, watch: &dyn Watch) -> Result<()> {
    let Some(mut partial) = blobs.resume(*blob)? else {
        watch.done(&blob.digest, Done::Present);
        return Ok(());
    };
    let before = partial.written().get();
    let what = format!("blob {}", blob.digest);
    if let Err(error) = room::check(blobs, &source.origin(), &what, blob.size.get().saturating_sub(before)) {
        // Nothing of it is there for anybody to go on with.
        if before == 0 {
            partial.discard()?;
        }
        return Err(error);
    }
    watch.begin(&blob.digest, blob.size);
    let (mut failures, mut pieced, mut anew) = (0, false, false);
    loop {
        let before = partial.written().get();
        pieced |= before > 0;
        let wrong = match attempt(source, blob, partial, watch)? {
            Attempt::Whole(whole) => match whole.commit() {
                Ok(_) => {
                    watch.done(&blob.digest, Done::Moved);
                    return Ok(());
                }
                Err(error @ harness_image::Error::WrongContent { .. }) => error.to_string(),
                Err(error) => return Err(error.into()),
            },
            Attempt::TooMuch(part, why) => {
                part.discard()?;
                why
            }
            Attempt::Part(part, why) => {
                partial = part;
                failures = if partial.written().get() >= before + PROGRESS { 1 } else { failures + 1 };
                if failures > source.retries() {
                    return Err(why);
                }
                tracing::debug!(blob = %blob.digest, at = partial.written().get(), error = %why, "trying again");
                thread::sleep(PAUSE * 2_u32.pow(failures.min(6) - 1));
                continue;
            }
        };
        if !pieced || anew {
            return Err(Error::refused(source.origin(), wrong));
        }
        tracing::debug!(blob = %blob.digest, error = wrong, "what was there before is of no use: fetching all of it");
        anew = true;
        partial = match blobs.resume(*blob)? {
            Some(fresh) => fresh,
            None => {
                watch.done(&blob.digest, Done::Present);
                return Ok(());
            }
        };
    }
}

enum Attempt<'a> {
    Whole(PartialBlob<'a>),
    /// Some of it, and why no more.
    Part(PartialBlob<'a>, Error),
    /// More than there can be of it.
    TooMuch(PartialBlob<'a>, String),
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
                if let Err(error) = partial.write_all(&buffer[..count]) {
                    return write_failed(partial, blob, error);
                }
                watch.moved(Bytes(count as u64));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Attempt::Part(partial, Error::Read { origin: source.origin(), source: error })),
        }
    }
}

/// Either the source sends more than there can be, or the disk does not take it.
fn write_failed<'a>(partial: PartialBlob<'a>, blob: &Blob, error: io::Error) -> Result<Attempt<'a>> {
    match error.downcast::<harness_image::Error>() {
        Ok(wrong) => Ok(Attempt::TooMuch(partial, wrong.to_string())),
        Err(source) => {
            let path = blob.digest.to_string().into();
            Err(Error::Store(harness_image::Error::Io { op: "write blob", path, source }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Cursor,
        sync::{Arc, Mutex},
    };

    use harness_image::{Digest, Durability, Store};

    use super::*;
    use crate::source::Stream;

    const CONTENT: &[u8] = b"what the blob is";

    /// Sends what is asked for, or something else; remembers from where it was asked.
    #[derive(Default)]
    struct Fake {
        /// So much of an answer comes, and then nothing.
        stops_after: Vec<usize>,
        /// Comes after the content.
        surplus: &'static [u8],
        /// Comes instead of the content.
        other: Option<&'static [u8]>,
        /// Knows nothing of parts.
        whole_only: bool,
        asked: Mutex<Vec<u64>>,
    }

    impl Source for Fake {
        fn origin(&self) -> String {
            "a test".to_owned()
        }

        fn manifest(&self, _: &Blob) -> Result<Vec<u8>> {
            Err(Error::refused(self.origin(), "it has none"))
        }

        fn open(&self, _: &Blob, start: u64) -> Result<Stream> {
            let mut asked = self.asked.lock().unwrap();
            let start = if self.whole_only { 0 } else { start };
            let mut all = self.other.unwrap_or(CONTENT).to_vec();
            all.extend(self.surplus);
            let rest = &all[usize::try_from(start).unwrap()..];
            let length = self.stops_after.get(asked.len()).copied().unwrap_or(usize::MAX).min(rest.len());
            asked.push(start);
            Ok(Stream { start, body: Box::new(Cursor::new(rest[..length].to_vec())) })
        }

        fn retries(&self) -> u32 {
            3
        }
    }

    struct Place {
        _dir: tempfile::TempDir,
        store: Arc<Store>,
        blob: Blob,
    }

    impl Place {
        /// A store that has this much from before.
        fn with(before: &[u8]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open_with(&dir.path().join("store"), Durability::Skip).unwrap();
            let blob = Blob { digest: Digest::of(CONTENT), size: Bytes(CONTENT.len() as u64) };
            let mut partial = store.blobs().resume(blob).unwrap().unwrap();
            partial.write_all(before).unwrap();
            drop(partial);
            Self { _dir: dir, store, blob }
        }

        fn fetch(&self, source: &Fake) -> Result<Vec<u64>> {
            fetch(self.store.blobs(), source, &self.blob, &())?;
            assert_eq!(self.store.blobs().read(&self.blob.digest).unwrap(), CONTENT);
            Ok(source.asked.lock().unwrap().clone())
        }

        /// What the next one who wants it goes on with.
        fn left(&self) -> u64 {
            self.store.blobs().resume(self.blob).unwrap().unwrap().written().get()
        }
    }

    #[test]
    fn goes_on_where_it_stopped() {
        assert_eq!(Place::with(&CONTENT[..5]).fetch(&Fake::default()).unwrap(), [5]);
        let stops = Fake { stops_after: vec![3, 0, 4], ..Fake::default() };
        assert_eq!(Place::with(b"").fetch(&stops).unwrap(), [0, 3, 3, 7]);
        let whole = Fake { whole_only: true, ..Fake::default() };
        assert_eq!(Place::with(&CONTENT[..5]).fetch(&whole).unwrap(), [0]);
    }

    /// A beginning that was damaged on this side must not make every further pull fail.
    #[test]
    fn a_wrong_beginning_is_fetched_again_once() {
        for before in [&b"WHAT "[..], b"WHAT THE BLOB IS"] {
            let asked = Place::with(before).fetch(&Fake::default()).unwrap();
            assert_eq!(asked.last(), Some(&0), "{before:?}");
        }
        let place = Place::with(b"what");
        let other = Fake { other: Some(b"WHAT THE BLOB IS"), ..Fake::default() };
        let error = place.fetch(&other).unwrap_err().to_string();
        assert!(error.contains("a test") && error.contains("sha256:"), "{error}");
        assert_eq!(*other.asked.lock().unwrap(), [4, 0]);
        assert_eq!(place.left(), 0);
    }

    #[test]
    fn too_much_is_refused_and_not_kept() {
        for (before, asked) in [(&b""[..], vec![0]), (&CONTENT[..5], vec![5, 0])] {
            let place = Place::with(before);
            let endless = Fake { surplus: b" and more", ..Fake::default() };
            let error = place.fetch(&endless).unwrap_err().to_string();
            assert!(error.contains("more than its 16 bytes came"), "{error}");
            assert_eq!(*endless.asked.lock().unwrap(), asked);
            assert_eq!(place.left(), 0);
        }
    }

    #[test]
    fn an_end_before_the_end_is_told_and_kept() {
        let place = Place::with(b"");
        let stops = Fake { stops_after: vec![3, 0, 0, 0, 0, 0], ..Fake::default() };
        let error = place.fetch(&stops).unwrap_err().to_string();
        assert!(error.contains("ended after 3 of 16 bytes"), "{error}");
        assert_eq!(place.left(), 3);
    }
}
