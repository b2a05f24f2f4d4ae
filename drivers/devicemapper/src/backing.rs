//! What the pool's blocks are on.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{fs::FallocateFlags, io::Errno};
use storage_driver::{Bytes, Error, Result};
use storage_sys::{
    block,
    dm::{Target, node},
    loopdev::LoopDevice,
};

use crate::{
    NAME, Options, Store,
    activation::{Activation, sectors},
    metadata::{BLOCK, Source, Superblock},
    record::PoolRecord,
};

/// docker's pools on files have 100 GB; the file is sparse, so this is only a limit.
const DATA_SIZE: u64 = 32 << 30;
/// Sixteen bytes a mapped block in nodes that are half full, and as much again for what snapshots do not share.
const METADATA_PER_BLOCK: u64 = 96;
const METADATA_LEAST: u64 = 16 << 20;
/// The kernel uses no more (`THIN_METADATA_MAX_SECTORS`).
const METADATA_MOST: u64 = 255 * ((1 << 14) - 64) * 4096;
const METADATA_STEP: u64 = 4 << 20;
const FILES: [&str; 2] = ["metadata", "data"];

/// The pool's two devices.
#[derive(Debug)]
pub struct Backing {
    /// Metadata and data file, in this order; none where the pool is on devices.
    loops: Vec<LoopDevice>,
    pub metadata: PathBuf,
    pub data: PathBuf,
}

/// How large the two are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub data: Bytes,
    pub metadata: Bytes,
}

impl Sizes {
    /// What was asked for, but no part smaller than it is.
    pub fn choose(root: &Path, options: &Options, record: Option<&PoolRecord>) -> Result<Self> {
        let block = options.block_size.get();
        let metadata_for = |data: u64| {
            let wanted = data / block * METADATA_PER_BLOCK;
            wanted.clamp(METADATA_LEAST, METADATA_MOST).next_multiple_of(METADATA_STEP)
        };
        let least = |size: u64, is: Option<Bytes>| Bytes(size.max(is.map_or(0, Bytes::get)));
        let was_data = record.map(|record| record.data_size);
        let was_metadata = record.map(|record| record.metadata_size);
        match &options.store {
            Store::Files => {
                let data =
                    least(options.data_size.map_or(if record.is_some() { 0 } else { DATA_SIZE }, Bytes::get), was_data);
                let metadata = options.metadata_size.map_or_else(|| metadata_for(data.get()), Bytes::get);
                Ok(Self { data: whole(data, block), metadata: least(metadata, was_metadata) })
            }
            Store::Device(device) => {
                let size = size_of(root, device)?;
                // What is behind the metadata stays where it is.
                let metadata = was_metadata.or(options.metadata_size).unwrap_or(Bytes(metadata_for(size)));
                let metadata = Bytes(metadata.get().next_multiple_of(block));
                Ok(Self { data: whole(Bytes(size).saturating_sub(metadata), block), metadata })
            }
            Store::Devices { data, metadata } => {
                Ok(Self { data: whole(Bytes(size_of(root, data)?), block), metadata: Bytes(size_of(root, metadata)?) })
            }
        }
    }
}

const fn whole(size: Bytes, block: u64) -> Bytes {
    Bytes(size.get() / block * block)
}

fn unusable(root: &Path, why: String) -> Error {
    Error::Unusable { driver: NAME, root: root.to_owned(), why }
}

fn size_of(root: &Path, device: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(device).map_err(Error::io("open", device))?;
    if !metadata.file_type().is_block_device() {
        return Err(unusable(root, format!("{} is no block device", device.display())));
    }
    let file = File::open(device).map_err(Error::io("open", device))?;
    block::size(&file).map_err(Error::io("ask the size of", device))
}

/// The pool's metadata while it is not at work; `None` before there has ever been a pool. On devices a pool that the root
/// has no record of is somebody else's, and so is anything else that is on them.
pub fn read_idle(root: &Path, options: &Options, has_record: bool) -> Result<Option<(Source, Superblock)>> {
    let devices: Vec<&Path> = match &options.store {
        Store::Files => vec![],
        Store::Device(device) => vec![device],
        Store::Devices { data, metadata } => vec![metadata, data],
    };
    if !has_record {
        return refuse_foreign(root, &devices).map(|()| None);
    }
    let (path, source) = match devices.first() {
        Some(device) => ((*device).to_owned(), Source::at_work(device)),
        None => {
            let path = root.join(FILES[0]);
            (path.clone(), Source::idle(&path))
        }
    };
    let source = match source {
        // The record was written, and a crash came before the files.
        Err(error) if error.kind() == io::ErrorKind::NotFound && devices.is_empty() => return Ok(None),
        source => source.map_err(Error::io("open", &path))?,
    };
    match Superblock::read(&source, 0) {
        Ok(superblock) => Ok(superblock.map(|superblock| (source, superblock))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Error::Corrupt { path, why: error.to_string() }),
    }
}

/// A pool without a record is somebody else's, or its record is lost.
fn refuse_foreign(root: &Path, devices: &[&Path]) -> Result<()> {
    for device in devices {
        let empty = Source::at_work(device).and_then(|source| is_empty(&source));
        if !empty.map_err(Error::io("read", *device))? {
            let path = device.display();
            let remedy = format!("if nobody needs it: dd if=/dev/zero of={path} bs=64K count=1");
            return Err(unusable(root, format!("{path} holds data that is not this root's; {remedy}")));
        }
    }
    let files = FILES.iter().map(|file| root.join(file)).filter(|_| devices.is_empty());
    let mut written =
        files.filter(|path| Source::idle(path).and_then(|source| is_empty(&source)).is_ok_and(|empty| !empty));
    match written.next() {
        None => Ok(()),
        Some(path) => Err(Error::Corrupt {
            path,
            why: format!("it is a pool's, and {} is missing; restore that, or remove both files", crate::record::FILE),
        }),
    }
}

fn is_empty(source: &Source) -> io::Result<bool> {
    for block in 0..(64 << 10) / BLOCK as u64 {
        if !source.with(block, |bytes| Ok(bytes.iter().all(|byte| *byte == 0)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Backing {
    /// Brings the two devices up, files at least as large as `sizes`.
    pub fn open(root: &Path, store: &Store, sizes: Sizes, active: &Activation) -> Result<Self> {
        match store {
            Store::Files => {
                let mut loops = Vec::new();
                for (file, size) in FILES.iter().zip([sizes.metadata, sizes.data]) {
                    let path = root.join(file);
                    enlarge(&path, size)?;
                    loops.push(LoopDevice::attach(&path).map_err(Error::io("attach a loop device to", &path))?);
                }
                let [metadata, data] = [0, 1].map(|index: usize| loops[index].path().to_owned());
                Ok(Self { loops, metadata, data })
            }
            Store::Devices { data, metadata } => {
                Ok(Self { loops: vec![], metadata: metadata.clone(), data: data.clone() })
            }
            Store::Device(device) => {
                let number = node::number(node::dev(device).map_err(Error::io("examine", device))?);
                let metadata = sectors(sizes.metadata.get());
                let part = |name: &str, start: u64, length: u64| {
                    let table = Target::whole(length, "linear", format!("{number} {start}"));
                    Ok::<_, Error>(active.make(&active.names.part(name), &[table], false)?.node)
                };
                let first = part("metadata", 0, metadata)?;
                let data = part("data", metadata, sectors(sizes.data.get()));
                let data = data.inspect_err(|_| _ = active.control.remove(&active.names.part("metadata")))?;
                Ok(Self { loops: vec![], metadata: first, data })
            }
        }
    }

    /// Makes the files, and the devices that they are, larger.
    pub fn grow(&self, root: &Path, sizes: Sizes) -> Result<()> {
        for ((file, size), device) in FILES.iter().zip([sizes.metadata, sizes.data]).zip(&self.loops) {
            enlarge(&root.join(file), size)?;
            device.grow().map_err(Error::io("grow", device.path()))?;
        }
        Ok(())
    }

    pub fn is_files(&self) -> bool {
        !self.loops.is_empty()
    }

    /// Whether the page cache of the files is passed by.
    pub fn direct_io(&self) -> bool {
        self.loops.iter().all(LoopDevice::direct_io)
    }
}

/// Data takes its room when it is written; metadata has all of it from the beginning, since a pool whose metadata finds
/// the disk below it full has failed, and can give nothing back.
fn enlarge(path: &Path, size: Bytes) -> Result<()> {
    let reserved = path.ends_with(FILES[0]);
    let grow = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let before = file.metadata()?;
        if reserved && before.blocks() * 512 < size.get() {
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size.get()) {
                // Where it cannot be, it is sparse.
                Err(Errno::OPNOTSUPP) => {}
                allocated => allocated?,
            }
        }
        if before.len() < size.get() {
            file.set_len(size.get())?;
            file.sync_all()?;
        }
        Ok(())
    };
    grow().map_err(Error::io("grow", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_options_and_never_shrink() {
        let choose = |options: &Options| Sizes::choose(Path::new("/x"), options, None).unwrap();
        let sizes = choose(&Options::default());
        assert_eq!(sizes, Sizes { data: Bytes(32 << 30), metadata: Bytes(48 << 20) });
        let small = Options { data_size: Some(Bytes((100 << 20) + 1)), ..Options::default() };
        assert_eq!(choose(&small), Sizes { data: Bytes(100 << 20), metadata: Bytes(16 << 20) });
        let large = Options { data_size: Some(Bytes(1 << 50)), ..Options::default() };
        assert!(choose(&large).metadata.get() < 17 << 30);
    }
}
