use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    Sink,
    plan::Planned,
    render::{Halt, Renderer, Totals},
};
use crate::{Error, Result, parallel, source::Source};

/// A batch ends with the entry that reaches one of these.
const BATCH_ENTRIES: usize = 64;
const BATCH_BYTES: u64 = 512 * 1024;

/// Finished batches that wait for their turn to be written, and pieces of a large one.
const BATCHES_AHEAD: usize = 8;
const PIECES_AHEAD: usize = 2;

/// What a worker hands on of its batch.
enum Part {
    Bytes(Vec<u8>),
    End(Totals),
    Failed(Error),
}

/// Renders the entries on several threads and writes them in order on this one, which usually hashes beside.
pub(super) fn run(source: &Source, entries: &[Planned], sink: &mut Sink<'_>) -> Result<Totals> {
    let batches = batches(entries);
    if batches.len() < 2 {
        return inline(source, entries, sink);
    }
    let count = batches.len();
    let workers = parallel::threads().min(count);
    let (order, queue) = sync_channel(BATCHES_AHEAD);
    let supply = Mutex::new((batches.into_iter(), order));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(source, &supply));
        }
        // The queue is dropped at the end of this closure, on errors too, which ends the workers.
        write(queue, count, sink)
    })
}

type Supply<'a> = Mutex<(std::vec::IntoIter<&'a [Planned]>, SyncSender<Receiver<Part>>)>;

fn batches(entries: &[Planned]) -> Vec<&[Planned]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        bytes += entry.body();
        if bytes >= BATCH_BYTES || index + 1 - start >= BATCH_ENTRIES {
            batches.push(&entries[start..=index]);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < entries.len() {
        batches.push(&entries[start..]);
    }
    batches
}

fn inline(source: &Source, entries: &[Planned], sink: &mut Sink<'_>) -> Result<Totals> {
    let mut failed = None;
    let mut emit = |mut bytes: Vec<u8>| match sink.write(&bytes) {
        Ok(()) => {
            bytes.clear();
            Some(bytes)
        }
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    let mut renderer = Renderer { source, emit: &mut emit, buffer: Vec::new(), totals: Totals::default() };
    let answer = renderer.entries(entries);
    let totals = renderer.totals;
    match (answer, failed) {
        (_, Some(error)) | (Err(Halt::Failed(error)), None) => Err(error),
        (Ok(()) | Err(Halt::Stopped), None) => Ok(totals),
    }
}

fn work(source: &Source, supply: &Supply<'_>) {
    while let Some((batch, parts)) = claim(supply) {
        let mut emit = |bytes: Vec<u8>| parts.send(Part::Bytes(bytes)).ok().map(|()| Vec::new());
        let mut renderer = Renderer { source, emit: &mut emit, buffer: Vec::new(), totals: Totals::default() };
        let answer = renderer.entries(batch);
        let totals = renderer.totals;
        let last = match answer {
            Ok(()) => Part::End(totals),
            Err(Halt::Failed(error)) => Part::Failed(error),
            Err(Halt::Stopped) => return,
        };
        if parts.send(last).is_err() {
            return;
        }
    }
}

/// The next batch; its place in the queue is taken under the same lock, so that the queue is in order.
fn claim<'a>(supply: &Supply<'a>) -> Option<(&'a [Planned], SyncSender<Part>)> {
    let mut supply = supply.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let batch = supply.0.next()?;
    let (sender, receiver) = sync_channel(PIECES_AHEAD);
    supply.1.send(receiver).ok()?;
    Some((batch, sender))
}

fn write(queue: Receiver<Receiver<Part>>, batches: usize, sink: &mut Sink<'_>) -> Result<Totals> {
    let mut totals = Totals::default();
    for parts in queue.into_iter().take(batches) {
        for part in parts {
            match part {
                Part::Bytes(bytes) => sink.write(&bytes)?,
                Part::End(more) => totals.add(more),
                Part::Failed(error) => return Err(error),
            }
        }
    }
    Ok(totals)
}
