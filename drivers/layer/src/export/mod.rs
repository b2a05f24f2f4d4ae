//! A delta as an OCI layer tar (image spec, layer.md: "Image Layer Filesystem Changeset").

mod holes;
mod pipeline;
mod plan;
mod render;

use std::io::Write;

use storage_driver::{Bytes, DiffStats};

use crate::{Error, Result, delta::Delta, source::Source};

/// Writes what `delta` found in `source`.
///
/// The entries are sorted by their names' bytes, where a directory's name ends in a slash, so that a directory
/// comes before what is in it. The directories above an entry are written even if they did not change: a consumer
/// that unpacks a layer into a directory of its own knows their attributes from nowhere else.
///
/// Deletions are written as explicit whiteouts, one by one, never as opaque markers: that is what the image spec
/// asks for ("Implementations SHOULD generate layers using explicit whiteout files"), and it makes the tar a function
/// of the two trees alone, whatever driver holds them.
pub(crate) fn export(source: &Source, delta: Delta, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    write(source, delta.examined, plan::plan(source, delta)?, out)
}

/// As [`export`], with other names in the tar.
pub(crate) fn export_renamed(
    source: &Source,
    delta: Delta,
    rename: &dyn Fn(&[u8]) -> Vec<u8>,
    out: &mut (dyn Write + Send),
) -> Result<DiffStats> {
    let examined = delta.examined;
    let mut plan = plan::plan(source, delta)?;
    plan.rename(rename);
    write(source, examined, plan, out)
}

fn write(source: &Source, examined: u64, plan: plan::Plan, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let mut sink = Sink { out, written: 0 };
    let totals = pipeline::run(source, &plan.entries, &mut sink)?;
    // Two blocks of zeros end a tar.
    sink.write(&[0; 2 * crate::tar::BLOCK])?;
    sink.out.flush().map_err(|source| Error::Output { offset: sink.written, source })?;
    let mut skipped = plan.skipped;
    skipped.extend(totals.skipped);
    Ok(DiffStats {
        entries: totals.entries,
        content: Bytes(totals.content),
        size: Bytes(sink.written),
        examined,
        skipped,
    })
}

struct Sink<'a> {
    out: &'a mut (dyn Write + Send),
    written: u64,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| Error::Output { offset: self.written, source })?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}
