//! The pool at work.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use storage_driver::{Bytes, Error, Result};
use storage_sys::{
    block,
    dm::{
        Suspend, Target, node,
        thin::{Mode, Pool as Status, PoolStatus, Thin},
    },
};

use crate::{
    NAME, Options,
    activation::{Activation, Active, PATIENCE, failed, is, sectors},
    backing::{Backing, Sizes},
    metadata::{self, Own, Source, Superblock},
    record::{PoolRecord, ThinId},
};

/// Thin devices have 24 bits for their number (thin-provisioning.rst, "Creating a new thinly-provisioned volume").
const LAST_NUMBER: u32 = (1 << 24) - 2;
/// Below this much room under the files, a write may find none, whatever the pool says.
const LEAST_BELOW: u64 = 32 << 20;

/// A pool, and all that goes when it goes.
#[derive(Debug)]
pub struct Pool {
    root: PathBuf,
    pub active: Activation,
    dev: u64,
    pub backing: Backing,
    record: Mutex<PoolRecord>,
    pub session: u64,
    next: AtomicU32,
    /// A pool has one metadata snapshot at a time.
    snapshot: Mutex<()>,
    /// Devices that no layer has any more, and that somebody still uses, with how many sectors they have.
    pending: Mutex<BTreeMap<u32, u64>>,
    min_free_space: u64,
    discard: bool,
}

/// The pool's only table line.
fn table(backing: &Backing, sizes: Sizes, options: &Options) -> io::Result<Target> {
    let (metadata, data) = (node::dev(&backing.metadata)?, node::dev(&backing.data)?);
    let block = options.block_size.get();
    let low_water = sizes.data.get() / block * options.min_free_space / 100;
    // What is new in a block and not written is only seen past the file system, by root; so zeroing is not worth a write.
    let mut features = vec!["skip_block_zeroing", "error_if_no_space"];
    if !options.discard {
        features.push("no_discard_passdown");
    }
    let parameters = format!(
        "{} {} {} {low_water} {} {}",
        node::number(metadata),
        node::number(data),
        sectors(block),
        features.len(),
        features.join(" ")
    );
    Ok(Target::whole(sectors(sizes.data.get()), "thin-pool", parameters))
}

impl Pool {
    /// Brings the pool up. `after` is the highest number that any device has.
    pub fn start(
        root: &Path,
        active: Activation,
        backing: Backing,
        record: PoolRecord,
        options: &Options,
        after: u32,
    ) -> Result<Self> {
        let name = active.names.pool();
        let sizes = Sizes { data: record.data_size, metadata: record.metadata_size };
        let table = table(&backing, sizes, options).map_err(failed("activate", &name))?;
        let dev = active.make(&name, &[table], false)?.dev;
        Ok(Self {
            root: root.to_owned(),
            active,
            dev,
            backing,
            session: record.session,
            record: Mutex::new(record),
            next: AtomicU32::new(after.saturating_add(1)),
            snapshot: Mutex::default(),
            pending: Mutex::default(),
            min_free_space: options.min_free_space,
            discard: options.discard,
        })
    }

    pub fn record(&self) -> MutexGuard<'_, PoolRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn block_size(&self) -> u64 {
        self.record().block_size.get()
    }

    pub const fn discards(&self) -> bool {
        self.discard
    }

    /// What the pool says, as it is, or after it has made all it knows durable.
    pub fn status(&self, at_once: bool) -> Result<Status> {
        let name = self.active.names.pool();
        let lines = self.active.control.status(&name, at_once).map_err(failed("ask", &name))?;
        let text = lines.first().map(|line| line.text.as_str()).unwrap_or_default();
        text.parse().map_err(|error| failed("ask", &name)(io::Error::other(error)))
    }

    /// What the pool says, if it works without reserve.
    pub fn healthy(&self, op: &'static str) -> Result<PoolStatus> {
        match self.status(true)? {
            Status::Works(status) if trouble(&status).is_none() => Ok(status),
            status => Err(self.trouble(op, status)),
        }
    }

    /// An I/O error of a layer's file system, in terms of what is wrong with the pool below it, if something is.
    pub fn explained(&self, op: &'static str, error: Error) -> Error {
        self.healthy(op).err().unwrap_or(error)
    }

    /// Refuses new layers while there is little room: better now than in the middle of a write.
    pub fn guard(&self) -> Result<()> {
        let status = self.healthy("make a layer in")?;
        let percent = self.min_free_space;
        for (what, blocks, size) in [("data", status.data, "data_size"), ("metadata", status.metadata, "metadata_size")]
        {
            if !blocks.has_free_percent(percent) {
                let log = format!(
                    "{} of {} {what} blocks are free, less than {percent}% (option min_free_space); remove layers, or \
                     give it more (option {size})",
                    blocks.free(),
                    blocks.total
                );
                return Err(self.full("make a layer in", log));
            }
        }
        if self.backing.is_files() {
            let below = storage_sys::statfs::of(&self.root).map_err(Error::io("examine", &self.root))?;
            if below.available < LEAST_BELOW {
                return Err(self.full("make a layer in", format!("its files are on {below}; make room there")));
            }
        }
        Ok(())
    }

    fn full(&self, op: &'static str, log: String) -> Error {
        let source = Errno::NOSPC.into();
        Error::Kernel { op, path: Path::new("/dev/mapper").join(self.active.names.pool()), log, source }
    }

    fn trouble(&self, op: &'static str, status: Status) -> Error {
        let log = match status {
            Status::Works(status) => trouble(&status).unwrap_or("the kernel's log may say why").to_owned(),
            Status::Fail => {
                "the pool has failed; close it, and see thin_repair(8) in package thin-provisioning-tools".to_owned()
            }
            Status::Error => "the pool cannot say what is wrong; see the kernel's log".to_owned(),
        };
        let full = matches!(status, Status::Works(PoolStatus { mode: Mode::OutOfDataSpace, .. }));
        let source = if full { Errno::NOSPC } else { Errno::IO }.into();
        Error::Kernel { op, path: Path::new("/dev/mapper").join(self.active.names.pool()), log, source }
    }

    /// Tells the pool something.
    fn message(&self, text: &str) -> io::Result<()> {
        tracing::trace!(text, "message to the pool");
        self.active.control.message(&self.active.names.pool(), text).map(|_| ())
    }

    /// A refusal, with what the pool says of itself.
    fn refused(&self, op: &'static str, source: io::Error) -> Error {
        let path = Path::new("/dev/mapper").join(self.active.names.pool());
        match self.status(true) {
            Ok(Status::Works(status)) => match trouble(&status) {
                None => Error::io(op, path)(source),
                Some(log) => Error::Kernel { op, path, log: log.to_owned(), source },
            },
            Ok(status) => self.trouble(op, status),
            Err(_) => Error::io(op, path)(source),
        }
    }

    /// A device without a block.
    pub fn create_thin(&self) -> Result<ThinId> {
        self.create(|number| self.message(&format!("create_thin {number}")))
    }

    /// A snapshot of another device, which may be active and even mounted: then it stands still meanwhile.
    pub fn create_snapshot(&self, origin: u32, how: Suspend) -> Result<ThinId> {
        self.active.exclusively(origin, || self.snapshot_of(origin, how))
    }

    /// As [`create_snapshot`](Self::create_snapshot), for those who keep others off the origin already.
    pub fn snapshot_of(&self, origin: u32, how: Suspend) -> Result<ThinId> {
        let name = self.active.names.thin(origin);
        // A snapshot of an active origin that is not suspended is a corrupt one (thin-provisioning.rst, "Internal
        // snapshots").
        let is_active = self.active.find(&name)?.is_some_and(|device| device.active_table);
        if is_active {
            match self.active.control.suspend(&name, how) {
                // Its last user was quicker, and took it away.
                Err(error) if is(&error, Errno::NXIO) => {}
                suspended => suspended.map_err(failed("suspend", &name))?,
            }
        }
        let made = self.create(|number| self.message(&format!("create_snap {number} {origin}")));
        if is_active {
            match self.active.control.resume(&name) {
                Err(error) if is(&error, Errno::NXIO) => {}
                Err(error) => {
                    // Whoever uses it waits for ever: that is worse than no snapshot.
                    return Err(failed("resume", &name)(error));
                }
                Ok(_) => {}
            }
        }
        made
    }

    fn create(&self, ask: impl Fn(u32) -> io::Result<()>) -> Result<ThinId> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number > LAST_NUMBER {
                // Opened again, it goes on after the highest that is in use.
                return Err(self.full("create a device in", "its numbers are used up; open it again".to_owned()));
            }
            match ask(number) {
                Ok(()) => return Ok(ThinId { number, session: self.session }),
                Err(error) if is(&error, Errno::EXIST) => {}
                Err(error) => return Err(self.refused("create a device in", error)),
            }
        }
    }

    pub fn activate(&self, number: u32, sectors: u64, read_only: bool) -> Result<Active> {
        self.active.activate(number, self.dev, sectors, read_only)
    }

    /// Deletes a device; one that is still in use as soon as it is not.
    pub fn delete(&self, number: u32, sectors: u64) -> Result<()> {
        let gone = self.active.exclusively(number, || self.try_delete(number, sectors))?;
        if gone {
            self.active.forget(number);
        } else {
            self.pending().insert(number, sectors);
        }
        Ok(())
    }

    /// Deletes a device of which nobody knows how large it was.
    pub fn delete_unknown(&self, number: u32) -> Result<()> {
        // As large as what is written to it: one that is activated smaller still says so.
        let block = sectors(self.block_size());
        let name = self.active.names.thin(number);
        let device = self.activate(number, block, false)?;
        let told = self.active.control.status(&name, false).map_err(failed("ask", &name));
        if !self.active.deactivate(number)? {
            return Err(self.busy(number));
        }
        let text = told?.into_iter().next().map(|line| line.text).unwrap_or_default();
        let written = match text.parse() {
            Ok(Thin::Works { highest: Some(highest), .. }) => highest + 1,
            Ok(Thin::Works { highest: None, .. }) => 0,
            _ => {
                tracing::debug!(device = %device.node.display(), text, "it does not say how much of it is written to");
                0
            }
        };
        self.delete(number, written)
    }

    /// Deletes what could not be deleted before.
    pub fn delete_pending(&self) -> Result<()> {
        let pending = self.pending().clone();
        for (number, sectors) in pending {
            if self.active.exclusively(number, || self.try_delete(number, sectors))? {
                self.pending().remove(&number);
                self.active.forget(number);
            }
        }
        Ok(())
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_delete(&self, number: u32, sectors: u64) -> Result<bool> {
        if !self.active.deactivate(number)? {
            return Ok(false);
        }
        if self.discard && sectors > 0 {
            self.give_back(number, sectors)?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.message(&format!("delete {number}")) {
                Ok(()) => return Ok(true),
                // Gone already: a deletion that was cut short by a crash.
                Err(error) if is(&error, Errno::NODATA) => return Ok(true),
                // A deferred removal may still be under way.
                Err(error) if is(&error, Errno::BUSY) && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) if is(&error, Errno::BUSY) => return Ok(false),
                Err(error) => return Err(self.refused("delete a device in", error)),
            }
        }
    }

    /// Deleting gives a device's blocks back to the pool; only discarding them gives them back to what the pool is on.
    fn give_back(&self, number: u32, sectors: u64) -> Result<()> {
        let active = self.activate(number, sectors, false)?;
        let discarded = File::options()
            .write(true)
            .open(&active.node)
            .and_then(|device| block::discard(&device, sectors * storage_sys::dm::SECTOR));
        if let Err(error) = discarded {
            // What is under the pool cannot, or fails to: the pool still gets its blocks.
            tracing::debug!(number, %error, "the blocks of a removed layer are not discarded");
        }
        if self.active.deactivate(number)? { Ok(()) } else { Err(self.busy(number)) }
    }

    fn busy(&self, number: u32) -> Error {
        let name = self.active.names.thin(number);
        let held =
            self.active.find(&name).ok().flatten().map_or_else(String::new, |device| crate::holders::of(device.dev));
        Error::Kernel {
            op: "deactivate",
            path: Path::new("/dev/mapper").join(name),
            log: format!("it is held {held}"),
            source: Errno::BUSY.into(),
        }
    }

    /// Makes everything durable that the pool knows: its status comes after a commit (dm-thin.c, `pool_status`), and a
    /// commit after a flush of the data.
    pub fn commit(&self) -> Result<()> {
        match self.status(false)? {
            Status::Works(status) if !status.needs_check && status.mode != Mode::ReadOnly => Ok(()),
            status => Err(self.trouble("make durable", status)),
        }
    }

    /// The blocks that a device does not share with what it was made of.
    pub fn own_blocks(&self, device: u32, origin: u32) -> Result<Own> {
        let _one_at_a_time = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        self.reserve_snapshot().map_err(|error| self.refused("read", error))?;
        let own = self.read_snapshot(device, origin);
        let released = self.message("release_metadata_snap");
        let own = own?;
        released.map_err(|error| self.refused("read", error))?;
        Ok(own)
    }

    fn reserve_snapshot(&self) -> io::Result<()> {
        match self.message("reserve_metadata_snap") {
            // The one before could not be let go of.
            Err(error) if is(&error, Errno::BUSY) => {
                self.message("release_metadata_snap")?;
                self.message("reserve_metadata_snap")
            }
            answer => answer,
        }
    }

    fn read_snapshot(&self, device: u32, origin: u32) -> Result<Own> {
        let Status::Works(PoolStatus { held_root: Some(root), .. }) = self.status(true)? else {
            return Err(self.refused("read", io::Error::other("it holds no metadata snapshot")));
        };
        let path = &self.backing.metadata;
        let source = Source::at_work(path).map_err(Error::io("open", path))?;
        let read = || -> io::Result<Own> {
            let gone = || io::Error::other("the metadata snapshot is empty");
            let superblock = Superblock::read(&source, root)?.ok_or_else(gone)?;
            metadata::own_blocks(&source, &superblock, device, origin)
        };
        read().map_err(Error::io("read", path))
    }

    /// Lets go of a metadata snapshot that a killed process held, if there is one.
    pub fn release_stale_snapshot(&self) -> Result<()> {
        match self.healthy("open")?.held_root {
            None => Ok(()),
            Some(_) => self.message("release_metadata_snap").map_err(|error| self.refused("open", error)),
        }
    }

    /// Begins a session: the pool's own number follows the record, which is written already.
    pub fn begin_session(&self, from: u64) -> Result<()> {
        let text = format!("set_transaction_id {from} {}", self.session);
        self.message(&text).map_err(|error| self.refused("begin a session of", error))
    }

    /// Makes a pool on files larger, while it is at work.
    pub fn grow(&self, sizes: Sizes, options: &Options) -> Result<()> {
        let name = self.active.names.pool();
        if !self.backing.is_files() {
            let why = "the pool is on devices; make these larger, and open it again".to_owned();
            return Err(Error::Unsupported { driver: NAME, what: "grow the pool", why });
        }
        let mut record = self.record();
        let sizes = Sizes {
            data: Bytes(sizes.data.max(record.data_size).get() / record.block_size.get() * record.block_size.get()),
            metadata: sizes.metadata.max(record.metadata_size),
        };
        self.backing.grow(&self.root, sizes)?;
        let table = table(&self.backing, sizes, options).map_err(failed("grow", &name))?;
        let control = &self.active.control;
        control.load(&name, &[table], false).map_err(failed("grow", &name))?;
        let swapped = control.suspend(&name, Suspend::Flush).and_then(|()| control.resume(&name));
        if let Err(error) = swapped {
            _ = control.clear(&name);
            _ = control.resume(&name);
            return Err(failed("grow", &name)(error));
        }
        record.data_size = sizes.data;
        record.metadata_size = sizes.metadata;
        record.write(&self.root)
    }

    /// Takes all devices away. What is still in use goes with its last user.
    fn stop(&self) -> Result<()> {
        self.delete_pending()?;
        for (name, _) in self.active.ours()? {
            if !self.active.remove(&name, PATIENCE)? {
                tracing::warn!(device = name, "a device is still in use; it goes with its last user");
                self.active.control.remove_deferred(&name).map_err(failed("remove", &name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "the pool stays active; opening it again takes it away");
        }
    }
}

/// What keeps a pool from working, and the remedy.
const fn trouble(status: &PoolStatus) -> Option<&'static str> {
    if status.needs_check {
        return Some(
            "its metadata must be checked before it can change again: close it, run thin_check --clear-needs-check-flag \
             on the metadata (package thin-provisioning-tools), and open it again, which says what to do if it was full",
        );
    }
    match status.mode {
        Mode::ReadWrite => None,
        Mode::ReadOnly => {
            Some("the pool is read-only, since its metadata is full or broken; close it and see thin_check(8)")
        }
        Mode::OutOfDataSpace => Some("no data block is left; remove layers, or give it more (option data_size)"),
    }
}
