//! Opening: what a crash left is taken away, and pool and records are brought together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use storage_driver::{Bytes, Error, LayerState, Leftover, Result};
use storage_root::{Root, delete_tree};
use storage_sys::mount;

use crate::{
    NAME, Options,
    activation::{Activation, Names, failed, sectors},
    backing::{Backing, Sizes, read_idle},
    filesystem::{self, Access},
    holders,
    layers::TREE,
    lost,
    metadata::{self, Details},
    pool::Pool,
    record::{Base, Data, Held, PoolRecord, StoreRecord, ThinId, belong_together},
    support,
};

/// As docker's `dm.basesize`, unless the pool is smaller.
const BASE_SIZE: u64 = 10 << 30;
/// How long devices of a process that was killed may take to come free.
const STALE_PATIENCE: Duration = Duration::from_secs(10);

/// A root with its pool at work.
#[derive(Debug)]
pub struct Opened {
    pub root: Root<Data>,
    pub pool: Pool,
    pub recovered: Vec<Leftover>,
}

pub fn open(path: &Path, options: &Options) -> Result<Opened> {
    // Tried first, so that nothing is made where nothing can be.
    drop(support::control(path)?);
    let unusable = |why| Error::Unusable { driver: NAME, root: path.to_owned(), why };
    options.fs.find_mkfs().map_err(unusable)?;
    let root: Root<Data> = Root::open_prepared(path, NAME, options.durability, &after_a_crash, &delete_tree)?;
    let mut recovered = root.recovered().to_vec();
    let found = PoolRecord::read(root.path())?;
    if let Some(record) = &found {
        check_options(root.path(), record, options)?;
    }
    let identity = found.as_ref().map_or_else(new_identity, |record| Ok(record.identity.clone()))?;
    let active = Activation::new(support::control(path)?, Names::new(&identity));
    note_unwritten(&root, &active)?;
    recovered.extend(take_away_stale(root.path(), &active)?);
    let (devices, transaction) = examine_idle(root.path(), options, found.as_ref())?;
    let sizes = Sizes::choose(root.path(), options, found.as_ref())?;
    let record = PoolRecord {
        identity,
        block_size: options.block_size,
        store: StoreRecord::from(&options.store),
        data_size: sizes.data,
        metadata_size: sizes.metadata,
        session: transaction + 1,
        bases: found.map(|record| record.bases).unwrap_or_default(),
    };
    record.write(root.path())?;
    let backing = Backing::open(root.path(), &options.store, sizes, &active)?;
    let last = devices.keys().next_back().copied().unwrap_or_default();
    let pool = Pool::start(root.path(), active, backing, record, options, last)?;
    pool.begin_session(transaction)?;
    pool.release_stale_snapshot()?;
    recovered.extend(reconcile(&root, &pool, &devices)?);
    recovered.extend(prepare_base(&root, &pool, options)?);
    root.ready();
    Ok(Opened { root, pool, recovered })
}

/// Sixteen hexadecimal digits, to tell this root's devices from those of other roots.
fn new_identity() -> Result<String> {
    const SOURCE: &str = "/dev/urandom";
    let mut random = [0; 8];
    File::open(SOURCE).and_then(|mut source| source.read_exact(&mut random)).map_err(Error::io("read", SOURCE))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(random)))
}

fn check_options(root: &Path, record: &PoolRecord, options: &Options) -> Result<()> {
    let unusable = |why| Error::Unusable { driver: NAME, root: root.to_owned(), why };
    if record.block_size != options.block_size {
        return Err(unusable(format!(
            "its pool has blocks of {0} bytes; open it with block_size={0}, or choose another --root",
            record.block_size.get()
        )));
    }
    if record.store != StoreRecord::from(&options.store) {
        let made = match record.store {
            StoreRecord::Files => "on files below the root; leave the device options away",
            StoreRecord::Device => "on one device; name it with device=",
            StoreRecord::Devices => "on two devices; name them with data_device= and metadata_device=",
        };
        return Err(unusable(format!("its pool is {made}")));
    }
    Ok(())
}

/// Before anything is unmounted that a process which was killed has left mounted.
fn after_a_crash(root: &Path) -> Result<()> {
    resume_suspended(root)?;
    lost::note(root)
}

/// A process that was killed while it suspended a device has left everybody waiting who uses it; an unmount for one.
fn resume_suspended(root: &Path) -> Result<()> {
    let Some(record) = PoolRecord::read(root)? else { return Ok(()) };
    let active = Activation::new(support::control(root)?, Names::new(&record.identity));
    // The pool first: what stands on it cannot go on before.
    for (name, _) in active.ours()?.into_iter().rev() {
        if active.find(&name)?.is_some_and(|device| device.suspended && device.active_table) {
            active.control.resume(&name).map_err(failed("resume", &name))?;
        }
    }
    Ok(())
}

/// Marks the layers whose file systems had given up when a process was killed that had them mounted.
fn note_unwritten(root: &Root<Data>, active: &Activation) -> Result<()> {
    let stale: BTreeSet<u32> = active.ours()?.iter().filter_map(|(name, _)| active.names.number(name)).collect();
    if stale.is_empty() {
        return Ok(());
    }
    for info in root.list()?.into_iter().filter(|info| info.state == LayerState::Writable) {
        let record = root.get(&info.id)?;
        let Data { device, fs, .. } = &record.driver;
        if stale.contains(&device.number)
            && let Some(node) = active.idle(device.number)?
            && let Err(why) = fs.check_unmounted(&node)
        {
            lost::mark(&root.layer_dir(&info.id), &why);
        }
    }
    Ok(())
}

/// Devices of ours that are there belong to a process that was killed, since we hold the root's lock.
fn take_away_stale(root: &Path, active: &Activation) -> Result<Vec<Leftover>> {
    let mut left = Vec::new();
    for (name, dev) in active.ours()? {
        if !active.remove(&name, STALE_PATIENCE)? {
            let why = format!("device {name} of an earlier process is still held {}; end that first", holders::of(dev));
            return Err(Error::Unusable { driver: NAME, root: root.to_owned(), why });
        }
        left.push(Leftover { kind: "device", path: Path::new("/dev/mapper").join(name) });
    }
    Ok(left)
}

/// The pool's devices and its transaction id, read before it is at work.
fn examine_idle(root: &Path, options: &Options, record: Option<&PoolRecord>) -> Result<(BTreeMap<u32, Details>, u64)> {
    let Some((source, superblock)) = read_idle(root, options, record.is_some())? else {
        return Ok((BTreeMap::new(), 0));
    };
    let path = root.join(crate::record::FILE);
    if let Some(record) = record
        && !belong_together(record.session, superblock.transaction)
    {
        let why = format!(
            "it is of session {}, and the pool of session {}: one of them is another pool's, or was restored alone",
            record.session, superblock.transaction
        );
        return Err(Error::Corrupt { path, why });
    }
    if superblock.block_sectors != sectors(options.block_size.get()) {
        let why = format!("the pool's metadata has blocks of {} sectors", superblock.block_sectors);
        return Err(Error::Corrupt { path, why });
    }
    if superblock.needs_check {
        let (metadata, if_full) = match &options.store {
            crate::Store::Files => (root.join("metadata"), "open it with more metadata_size"),
            crate::Store::Device(device) => {
                (device.clone(), "remove layers: the part of a split device that has the metadata keeps its size")
            }
            crate::Store::Devices { metadata, .. } => (metadata.clone(), "make this device larger"),
        };
        let why = format!(
            "the pool's metadata must be checked first: thin_check --clear-needs-check-flag {} (package \
             thin-provisioning-tools); if it was full, then {if_full}",
            metadata.display()
        );
        return Err(Error::Unusable { driver: NAME, root: root.to_owned(), why });
    }
    let damaged = |error: io::Error| Error::Corrupt { path: root.to_owned(), why: error.to_string() };
    let devices = metadata::devices(&source, &superblock).map_err(damaged)?;
    Ok((devices, superblock.transaction))
}

/// After this, every device is somebody's, and every layer has its device.
fn reconcile(root: &Root<Data>, pool: &Pool, devices: &BTreeMap<u32, Details>) -> Result<Vec<Leftover>> {
    let is_there = |id: ThinId| devices.get(&id.number).is_some_and(|device| device.transaction == id.session);
    let mut left = Vec::new();
    let mut known = BTreeSet::new();
    for info in root.list()? {
        let record = root.get(&info.id)?;
        let data = &record.driver;
        if is_there(data.device) {
            known.insert(data.device.number);
            continue;
        }
        let path = root.layer_dir(&info.id);
        if info.state == LayerState::Sealed {
            let why = format!("its thin device {} is not in the pool; restore the pool", data.device.number);
            return Err(Error::Corrupt { path, why });
        }
        // Its removal, or its making, did not get further.
        root.remove(&info.id, |trashed, _| delete_tree(trashed))?;
        left.push(Leftover { kind: "partial layer", path });
    }
    {
        let mut record = pool.record();
        record.bases.retain(|_, base| is_there(base.device));
        known.extend(record.bases.values().map(|base| base.device.number));
    }
    for number in devices.keys().filter(|number| !known.contains(number)) {
        pool.delete_unknown(*number)?;
        left.push(Leftover { kind: "thin device", path: pool.active.names.thin(*number).into() });
    }
    Ok(left)
}

/// Sees to it that there is an empty file system of the kind and size asked for. One of another size is made anew: layers
/// that stand on the old one keep their blocks without it.
fn prepare_base(root: &Root<Data>, pool: &Pool, options: &Options) -> Result<Vec<Leftover>> {
    let old = pool.record().bases.get(&options.fs).cloned();
    let data_size = pool.record().data_size;
    let block = options.block_size.get();
    let size = match (options.base_size, &old) {
        (Some(size), _) => size.get().div_ceil(block) * block,
        (None, Some(_)) => return Ok(vec![]),
        (None, None) => BASE_SIZE.min(data_size.get()),
    };
    if old.as_ref().is_some_and(|base| base.sectors == sectors(size)) {
        return Ok(vec![]);
    }
    let device = pool.create_thin()?;
    let made = make_base(root, pool, options, device, Bytes(size));
    let made = made.and_then(|base| {
        pool.commit()?;
        let mut record = pool.record();
        record.bases.insert(options.fs, base);
        record.write(root.path())
    });
    if let Err(error) = made {
        _ = pool.delete(device.number, sectors(size));
        return Err(error);
    }
    if let Some(old) = old {
        pool.delete(old.device.number, old.sectors)?;
    }
    Ok(vec![])
}

fn make_base(root: &Root<Data>, pool: &Pool, options: &Options, device: ThinId, size: Bytes) -> Result<Base> {
    let (fs, number) = (options.fs, device.number);
    let active = pool.activate(number, sectors(size.get()), false)?;
    // Below what is searched for mounts when a crash is cleaned up after.
    let point = root.path().join("staging").join(".base");
    let fill = || -> Result<Held> {
        fs.make(&active.node)?;
        fs::create_dir(&point).map_err(Error::io("create", &point))?;
        fs.mount(&active.node, &point, Access::Write, false)?;
        let filled = make_tree(&point).and_then(|()| filesystem::sync(&point)).and_then(|()| filesystem::held(&point));
        let unmounted = mount::detach(&point).map_err(Error::io("unmount", &point));
        filled.and_then(|held| unmounted.map(|()| held))
    };
    let filled = fill();
    _ = fs::remove_dir(&point);
    let gone = pool.active.deactivate(number)?;
    let holds = filled?;
    if !gone {
        let name = pool.active.names.thin(number);
        let busy = io::Error::other(format!("it is held {}", holders::of(active.dev)));
        return Err(failed("deactivate", &name)(busy));
    }
    Ok(Base { device, sectors: sectors(size.get()), holds })
}

fn make_tree(mounted: &Path) -> Result<()> {
    let tree = mounted.join(TREE);
    let make = || -> io::Result<()> {
        DirBuilder::new().mode(0o755).create(&tree)?;
        // Whatever the umask is.
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755))
    };
    make().map_err(Error::io("create", &tree))
}
