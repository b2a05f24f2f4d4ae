//! What this driver tells of itself.

use std::collections::{BTreeMap, BTreeSet};

use storage_driver::{Bytes, Capabilities, Sharing, Status, Support};
use storage_sys::dm::thin::{Blocks, Pool as PoolSays};

use crate::{Options, Store, pool::Pool};

pub fn capabilities(pool: &Pool) -> Capabilities {
    Capabilities {
        sharing: Sharing::Block(pool.block_size()),
        native_diff: Support::No("the pool knows which blocks changed, and not which files they are of".to_owned()),
        size_limit: Support::Yes,
        device_nodes: Support::Yes,
        privileged_xattrs: Support::Yes,
        held_mounts: Support::No("a mount needs its pool, which is this process's to watch over".to_owned()),
        max_depth: None,
        deviations: BTreeSet::new(),
    }
}

pub fn status(pool: &Pool, options: &Options) -> Status {
    let record = pool.record().clone();
    let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
    let mut pairs = BTreeMap::from([
        ("block size".to_owned(), record.block_size.get().to_string()),
        ("file system".to_owned(), options.fs.to_string()),
        ("discard".to_owned(), on_off(options.discard)),
        ("min free space".to_owned(), format!("{}%", options.min_free_space)),
        ("sync".to_owned(), on_off(options.durability.syncs())),
        ("pool".to_owned(), pool.active.names.pool()),
        ("pool on".to_owned(), store(pool, &options.store)),
    ]);
    if let Some(base) = record.bases.get(&options.fs) {
        let size = Bytes(base.sectors * storage_sys::dm::SECTOR);
        pairs.insert("base size".to_owned(), size.get().to_string());
    }
    if let Ok(version) = pool.active.control.version() {
        pairs.insert("device-mapper".to_owned(), version.to_string());
    }
    let targets = pool.active.control.targets().unwrap_or_default();
    if let Some((_, version)) = targets.iter().find(|(name, _)| name == "thin-pool") {
        pairs.insert("thin-pool target".to_owned(), version.to_string());
    }
    pairs.extend(says(pool.status(true).ok(), record.block_size.get()));
    Status { pairs }
}

fn store(pool: &Pool, store: &Store) -> String {
    match store {
        Store::Files if pool.backing.direct_io() => "files, direct I/O".to_owned(),
        Store::Files => "files, through the page cache".to_owned(),
        Store::Device(device) => device.display().to_string(),
        Store::Devices { data, metadata } => format!("{}, metadata on {}", data.display(), metadata.display()),
    }
}

fn says(status: Option<PoolSays>, block: u64) -> BTreeMap<String, String> {
    let Some(PoolSays::Works(status)) = status else {
        return BTreeMap::from([("pool mode".to_owned(), "failed".to_owned())]);
    };
    let shown = |blocks: Blocks, size: u64| {
        let bytes = |count: u64| Bytes(count.saturating_mul(size));
        format!("{} of {}", bytes(blocks.used), bytes(blocks.total))
    };
    BTreeMap::from([
        ("pool mode".to_owned(), status.mode.to_string()),
        ("pool data".to_owned(), shown(status.data, block)),
        ("pool bytes used".to_owned(), status.data.used.saturating_mul(block).to_string()),
        ("pool metadata".to_owned(), shown(status.metadata, 4096)),
    ])
}
