use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{Scope, ScopedJoinHandle},
};

use sha2::{Digest as _, Sha256};

use crate::{Decompressor, Digest, decompress};

const CHUNK: usize = 256 * 1024;
/// Chunks between two stages.
const AHEAD: usize = 4;

type Chunk = io::Result<Vec<u8>>;

/// The plain tar, decompressed by one thread and hashed by another, ahead of whoever reads it.
#[derive(Debug)]
pub(super) struct Chunks {
    queue: Receiver<Chunk>,
    current: Vec<u8>,
    at: usize,
    /// Read chunks go back here and are filled again.
    spent: SyncSender<Vec<u8>>,
}

/// The digest and length of all that was read, once the stream has ended.
pub(super) type Hashed<'scope> = ScopedJoinHandle<'scope, (Digest, u64)>;

/// Starts both threads. They end when the input does, or when the [`Chunks`] are dropped.
pub(super) fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    input: &'scope mut (dyn Read + Send),
) -> (Chunks, Hashed<'scope>) {
    let (plain, to_hash) = sync_channel(AHEAD);
    let (hashed, queue) = sync_channel(AHEAD);
    let (spent, empty) = sync_channel(3 * AHEAD);
    scope.spawn(move || read(input, &plain, &empty));
    let hash = scope.spawn(move || hash(&to_hash, &hashed));
    (Chunks { queue, current: Vec::new(), at: 0, spent }, hash)
}

fn read(input: &mut (dyn Read + Send), plain: &SyncSender<Chunk>, empty: &Receiver<Vec<u8>>) {
    let mut input: Decompressor<'_> = match decompress(input) {
        Ok(input) => input,
        Err(error) => {
            let _ = plain.send(Err(error));
            return;
        }
    };
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let chunk = fill(&mut input, chunk);
        let last = chunk.as_ref().map_or(true, Vec::is_empty);
        if plain.send(chunk).is_err() || last {
            return;
        }
    }
}

/// Fills the chunk, or cuts it where the input ends.
fn fill(input: &mut impl Read, mut chunk: Vec<u8>) -> Chunk {
    let mut filled = 0;
    while filled < chunk.len() {
        match input.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    chunk.truncate(filled);
    Ok(chunk)
}

fn hash(plain: &Receiver<Chunk>, hashed: &SyncSender<Chunk>) -> (Digest, u64) {
    let mut hash = Sha256::new();
    let mut count = 0;
    for chunk in plain {
        if let Ok(bytes) = &chunk {
            hash.update(bytes);
            count += bytes.len() as u64;
        }
        if hashed.send(chunk).is_err() {
            break;
        }
    }
    (Digest::from_bytes(hash.finalize().into()), count)
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            // A closed queue is the end: the stages before have sent all they had.
            let next = self.queue.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            let spent = std::mem::replace(&mut self.current, next);
            self.at = 0;
            let _ = self.spent.try_send(spent);
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
