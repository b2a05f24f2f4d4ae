//! What a pool knows, read from its metadata device: which thin devices there are, and which blocks each holds.
//!
//! The kernel tells neither. Its own tools (`thin_ls`, `thin_dump`) read the same trees; the format is that of
//! drivers/md/dm-thin-metadata.c and drivers/md/persistent-data/dm-btree*.c. While the pool is at work its trees
//! change, so then only a metadata snapshot is read, which stands still (thin-provisioning.rst,
//! `reserve_metadata_snap`).

mod btree;
mod checksum;
mod source;
mod superblock;

pub use source::Source;
pub use superblock::Superblock;

use std::{collections::BTreeMap, io};

use btree::{Leaf, walk};

/// Metadata blocks are of this size, always.
pub const BLOCK: usize = 4096;

/// One thin device, as the pool knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// Blocks that it has, shared ones too.
    pub mapped: u64,
    /// The pool's transaction when it was made.
    pub transaction: u64,
    /// The pool's own clock, which ticks with every snapshot, when it was made.
    pub created: u32,
}

impl Leaf for Details {
    const SIZE: usize = 24;

    fn read(bytes: &[u8]) -> Option<Self> {
        let transaction = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        let created = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
        Some(Self { mapped: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?), transaction, created })
    }
}

/// Where a thin device's block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The pool's clock when the block was allocated: the value's lower 24 bits; the rest is the block's number.
    pub time: u32,
}

impl Leaf for Place {
    const SIZE: usize = 8;

    fn read(bytes: &[u8]) -> Option<Self> {
        let value = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        u32::try_from(value & 0x00ff_ffff).ok().map(|time| Self { time })
    }
}

impl Leaf for u64 {
    const SIZE: usize = 8;

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.get(..8)?.try_into().ok()?))
    }
}

/// All thin devices of a pool.
///
/// # Errors
/// When the metadata cannot be read, or is damaged.
pub fn devices(source: &Source, superblock: &Superblock) -> io::Result<BTreeMap<u32, Details>> {
    let mut found = BTreeMap::new();
    walk(source, superblock.details_root, &mut |id, details: Details| {
        found.insert(u32::try_from(id).map_err(|_| damaged("a device's id is too large"))?, details);
        Ok(())
    })?;
    Ok(found)
}

/// Blocks that a device holds for itself, as counted by [`own_blocks`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own {
    /// Allocated since the device was made: for itself, and for those that were made of it later.
    pub blocks: u64,
    /// Those of them that stand where its origin has one too.
    pub instead: u64,
}

/// The blocks of `device` that are not its origin's.
///
/// A snapshot begins with its origin's blocks, all older than itself, and each block that it gets later is as
/// young as the pool's clock then: so its own are those that are not older than it.
///
/// # Errors
/// When the metadata cannot be read, or is damaged; or when a device is not there.
pub fn own_blocks(source: &Source, superblock: &Superblock, device: u32, origin: u32) -> io::Result<Own> {
    let devices = devices(source, superblock)?;
    let absent = || io::Error::new(io::ErrorKind::NotFound, format!("the pool has no thin device {device}"));
    let created = devices.get(&device).ok_or_else(absent)?.created;
    let mut roots = BTreeMap::new();
    walk(source, superblock.mapping_root, &mut |id, root: u64| {
        roots.insert(id, root);
        Ok(())
    })?;
    let mut own = Vec::new();
    if let Some(root) = roots.get(&u64::from(device)) {
        walk(source, *root, &mut |block, place: Place| {
            if place.time >= created {
                own.push(block);
            }
            Ok(())
        })?;
    }
    let mut instead = 0;
    if let Some(root) = roots.get(&u64::from(origin)) {
        // Both come in order.
        let mut rest = own.iter().peekable();
        walk(source, *root, &mut |block, _: Place| {
            while rest.next_if(|own| **own < block).is_some() {}
            instead += u64::from(rest.peek() == Some(&&block));
            Ok(())
        })?;
    }
    Ok(Own { blocks: own.len() as u64, instead })
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{why}; see thin_check(8) and thin_repair(8)"))
}
