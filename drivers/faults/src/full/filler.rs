//! What takes the room away: a file, or where the driver has a thin pool at work, a device of the pool.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use storage_sys::dm::{
    Control, SECTOR, Target, node,
    thin::{Pool, PoolStatus},
};

/// How much is left free: bytes of a file system, or blocks of a pool.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    bytes: u64,
    blocks: u64,
}

const fn level(kibibytes: u64, blocks: u64) -> Level {
    Level { bytes: kibibytes << 10, blocks }
}

pub const LEVELS: [Level; 11] = [
    level(0, 0),
    level(4, 1),
    level(8, 2),
    level(12, 3),
    level(16, 4),
    level(32, 6),
    level(64, 8),
    level(128, 12),
    level(192, 16),
    level(256, 24),
    level(1024, 48),
];

/// A device of the pool that no driver has: they count up from one (thin-provisioning.rst has 24 bits).
const NUMBER: u32 = (1 << 24) - 5;

/// Takes room until it is removed.
#[derive(Debug)]
pub struct Filler {
    what: String,
    taken: Taken,
}

#[derive(Debug)]
enum Taken {
    File(PathBuf),
    Device { control: Control, pool: String, name: String },
}

impl Filler {
    /// Fills the pool if there is one, else the disk that is mounted on `at`.
    pub fn fill(at: &Path, pool: Option<String>, level: Level) -> io::Result<Self> {
        if let Some(pool) = pool {
            return fill_pool(pool, level.blocks);
        }
        let path = at.join("filler");
        fill_disk(&path, level.bytes)?;
        Ok(Self { what: format!("with {} KiB free", level.bytes >> 10), taken: Taken::File(path) })
    }

    /// In words.
    pub fn what(&self) -> &str {
        &self.what
    }

    pub fn remove(self) -> io::Result<()> {
        match self.taken {
            Taken::File(path) => fs::remove_file(path),
            Taken::Device { control, pool, name } => {
                control.remove(&name)?;
                node::forget(&name)?;
                control.message(&pool, &format!("delete {NUMBER}")).map(drop)
            }
        }
    }
}

/// Fills the disk and gives `free` bytes back.
fn fill_disk(path: &Path, free: u64) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let block = vec![0xff; 64 << 10];
    let mut written = 0;
    let mut size = block.len();
    while size >= 512 {
        match file.write(&block[..size]) {
            Ok(count) => written += count as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => return Err(error),
        }
    }
    // What is only promised is not yet taken.
    file.sync_all()?;
    file.set_len(written.saturating_sub(free))?;
    file.sync_all()
}

/// Writes to as many blocks of a new device as the pool has, but for `left`.
fn fill_pool(pool: String, left: u64) -> io::Result<Filler> {
    let control = Control::open()?;
    let free = status(&control, &pool)?.data.free();
    let table = control.table(&pool)?;
    let block = table.first().and_then(|line| line.text.split_whitespace().nth(2)?.parse::<u64>().ok());
    let block = block.ok_or_else(|| io::Error::other(format!("{pool} has a table without a block size")))?;
    let dev = control.find(&pool)?.map_or(0, |device| device.dev);
    let take = free.saturating_sub(left);
    control.message(&pool, &format!("create_thin {NUMBER}"))?;
    let name = format!("faults-{}-filler", std::process::id());
    control.create(&name, &name)?;
    let length = block * take.max(1);
    control.load(&name, &[Target::whole(length, "thin", format!("{} {NUMBER}", node::number(dev)))], false)?;
    let device = control.resume(&name)?;
    let file = File::options().write(true).open(node::of(&name, device.dev)?)?;
    for index in 0..take {
        file.write_all_at(&[0xff; 4096], index * block * SECTOR)?;
    }
    file.sync_all()?;
    drop(file);
    // It counts what is committed.
    let free = status(&control, &pool)?.data.free();
    let what = format!("with {free} blocks of the pool free");
    Ok(Filler { what, taken: Taken::Device { control, pool, name } })
}

fn status(control: &Control, pool: &str) -> io::Result<PoolStatus> {
    let lines = control.status(pool, false)?;
    let text = lines.first().map(|line| line.text.as_str()).unwrap_or_default();
    match text.parse() {
        Ok(Pool::Works(status)) => Ok(status),
        _ => Err(io::Error::other(format!("the pool {pool} says {text:?}"))),
    }
}
