mod attributes;
mod make;
mod name;
mod names;
mod notes;
mod options;
mod pool;
mod stream;
mod target;
mod whiteout;

use std::{
    fs::File,
    io::{BufRead, Read},
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
    sync::Arc,
    thread,
};

use rustix::fs::FileType;
use storage_driver::{ApplyStats, Bytes};

pub use self::options::{ApplyOptions, Devices, Limits, Owners, Whiteouts};
use self::{
    attributes::{Attributes, Setter, io},
    name::Name,
    notes::Notes,
    pool::{Job, Jobs, Pool, SMALL},
    target::{Dir, Missing, Target},
};
use crate::{
    Error, Fault, Result,
    error::EntryName,
    manifest::Region,
    tar::read::{Entry, EntryKind, TarReader},
};

/// Lays an OCI layer tar (plain, gzip or zstd) over the tree at `root`.
///
/// The input is not trusted: every name is resolved beneath `root`, where an absolute symlink starts at `root`
/// and `..` cannot leave it. The result does not depend on where among the other entries the tar has its
/// whiteouts: they hide what was there before, never what the same tar writes. A directory above an entry that
/// neither the tar nor the tree has is made with mode 0755, owner 0:0 and the epoch as its mtime; one that only the
/// tree has keeps its times.
///
/// One thread decompresses, one hashes, one makes the names in the tar's order, and others fill the files; less than
/// 32 MiB are in flight.
///
/// # Errors
/// [`Error::Entry`] names the entry and its offset; [`Error::Input`] for a source that fails. The tree then
/// holds an undefined part of the tar.
pub fn apply(root: &Path, tar: &mut (dyn Read + Send), options: &ApplyOptions) -> Result<ApplyStats> {
    let notes = Notes::default();
    let setter = Setter { owners: options.owners, notes: &notes };
    let target = Target::open(root, options, setter)?;
    let pool = Pool::new();
    let answer = thread::scope(|scope| {
        let (chunks, hashed) = stream::start(scope, tar);
        let jobs = pool.start(scope, setter);
        let reader = TarReader::new(chunks, &options.limits);
        let mut run = Run { reader, target, jobs, content: 0 };
        let answer = run.entries();
        let Run { reader, mut target, jobs, content } = run;
        let entries = reader.entries();
        // Without a reader the threads before it end, without jobs the threads behind it do.
        drop((reader, jobs));
        let hashed = match hashed.join() {
            Ok(hashed) => hashed,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        answer.map(|()| (entries, content, hashed)).and_then(|done| {
            target.set_directory_times().map_err(|why| {
                let entry = EntryName::default();
                Error::Entry { entry, offset: done.2.1, why }
            })?;
            Ok(done)
        })
    });
    // The first failure of a writer is the cause of what the reader met after it.
    if let Some(error) = pool.error() {
        return Err(error);
    }
    let (entries, content, (diff_id, size)) = answer?;
    Ok(ApplyStats {
        entries,
        content: Bytes(content),
        size: Bytes(size),
        diff_id: *diff_id.as_bytes(),
        skipped: notes.finish(),
    })
}

struct Run<'a, R> {
    reader: TarReader<'a, R>,
    target: Target<'a>,
    jobs: Jobs<'a>,
    content: u64,
}

impl<R: BufRead> Run<'_, R> {
    fn entries(&mut self) -> Result<()> {
        while let Some(entry) = self.reader.next_entry()? {
            if !self.entry(entry)? {
                // A writer has failed, and knows why.
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when there is no point in going on.
    fn entry(&mut self, entry: Entry) -> Result<bool> {
        let name = entry.name.clone();
        let parsed = if self.target.is_literal() { Name::literal(&name) } else { Name::parse(&name) };
        let answer = match parsed {
            Ok(Name::Entry { parent, name }) => return self.make(&parent, name, entry),
            Ok(Name::Root) => match entry.kind {
                EntryKind::Directory => self.target.root_entry(&entry.into()),
                _ => Err(Fault::Refused("the root can only be a directory")),
            },
            Ok(Name::Whiteout { parent, name }) => self.target.whiteout(&parent, name),
            Ok(Name::Opaque { directory }) => self.target.opaque(&directory),
            Ok(Name::Aufs) => Ok(()),
            Err(why) => Err(why),
        };
        answer.map(|()| true).map_err(|why| self.reader.fail(why))
    }

    fn make(&mut self, parent: &[&[u8]], name: &[u8], entry: Entry) -> Result<bool> {
        let at = match self.target.enter(parent, Missing::Make) {
            Ok(Some(at)) => at,
            Ok(None) => return Ok(true),
            Err(why) => return Err(self.reader.fail(why)),
        };
        let Entry { kind, offset, .. } = entry.clone();
        let to = Attributes::from(entry);
        let target = &mut self.target;
        let answer = match kind {
            EntryKind::File { size, data } => return self.file(&at, name, size, &data, to, offset),
            EntryKind::Directory => target.directory(&at, name, &to),
            EntryKind::HardLink(link) => target.hard_link(&at, name, &link),
            EntryKind::Symlink(link) => target.symlink(&at, name, &link, &to),
            EntryKind::Fifo => target.fifo(&at, name, &to),
            EntryKind::CharDevice(number) => target.device(&at, name, FileType::CharacterDevice, number, &to),
            EntryKind::BlockDevice(number) => target.device(&at, name, FileType::BlockDevice, number, &to),
        };
        answer.map(|()| true).map_err(|why| self.reader.fail(why))
    }

    fn file(
        &mut self,
        at: &Arc<Dir>,
        name: &[u8],
        size: u64,
        data: &[Region],
        attributes: Attributes,
        offset: u64,
    ) -> Result<bool> {
        let file = self.target.file(at, name, &attributes).map_err(|why| self.reader.fail(why))?;
        let bytes: u64 = data.iter().map(|region| region.length).sum();
        self.content += bytes;
        let path = crate::source::join(&at.path, name);
        let inherited = at.default_acl;
        let dense = matches!(data, [region] if region.length == size);
        if dense && size <= SMALL {
            let body = self.small_body(size)?;
            return Ok(self.jobs.submit(Job { file, body, attributes, inherited, path, offset }));
        }
        if !dense {
            // First, since xfs reserves space beyond the end of a file that grows (xfs(5), `allocsize`), and what of it
            // later lies within the file is no hole any more.
            file.set_len(size).map_err(|error| self.reader.fail(io("set the size of")(error)))?;
        }
        self.large_body(&file, data)?;
        let setter = self.target.setter;
        setter.open(file.as_fd(), &attributes, inherited, &path).map_err(|why| self.reader.fail(why))?;
        Ok(true)
    }

    fn small_body(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        loop {
            let bytes = self.reader.body()?;
            let count = bytes.len();
            if count == 0 {
                return Ok(body);
            }
            body.extend_from_slice(bytes);
            self.reader.advance(count);
        }
    }

    /// Writes a file as it is read: each piece at its place, and holes where there is none.
    fn large_body(&mut self, file: &File, data: &[Region]) -> Result<()> {
        for region in data {
            let (mut at, end) = (region.offset, region.offset + region.length);
            while at < end {
                let bytes = self.reader.body()?;
                let count = bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let written = file.write_all_at(&bytes[..count], at);
                written.map_err(|error| self.reader.fail(io("write")(error)))?;
                self.reader.advance(count);
                at += count as u64;
            }
        }
        Ok(())
    }
}
