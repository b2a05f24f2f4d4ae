//! Whether a workload's layers fit where the driver keeps them, before any is made.

use storage_driver::{Bytes, Sharing};

use crate::{Engine, Error, Params, Result, Workload, content::BLOCK};

/// Where a driver's layers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What can still be written there.
    pub free: Bytes,
    /// What layers have in common on the disk: full copies that are made of reflinks share their blocks.
    pub sharing: Sharing,
}

/// What of a workload is on the disk at one time, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Content of the lowest layer.
    pub content: Bytes,
    /// Layers that stand on it, sealed or not.
    pub above: u64,
    /// Files of it that they change: how many.
    pub changed_files: u64,
    /// Content of these files.
    pub changed: Bytes,
    /// The parameters that make it less.
    pub parameters: &'static str,
}

/// Places in one file that two writes, the inode and the file system's own account of them fall into.
const PLACES: u64 = 4;
/// What file systems keep for themselves: for each of these bytes one, and the least.
const OVERHEAD: (u64, u64) = (64, 16 << 20);

impl Room {
    /// In bytes, by what the layers have in common.
    #[must_use]
    pub fn on(&self, sharing: Sharing) -> Bytes {
        let above = match sharing {
            Sharing::None => self.content.get().saturating_mul(self.above),
            Sharing::File => self.changed.get(),
            Sharing::Block(block) => self.changed_files.saturating_mul(PLACES * block.max(BLOCK as u64)),
        };
        let bytes = self.content.get().saturating_add(above);
        Bytes(bytes.saturating_add(bytes / OVERHEAD.0).saturating_add(OVERHEAD.1))
    }
}

/// How much the workload takes on this driver, if both can tell.
///
/// # Errors
/// [`Error::Room`] when there is less, [`Error::Parameter`] for parameters that make no sense, and the engine's.
pub fn check_room(workload: &dyn Workload, params: &Params, engine: &mut dyn Engine) -> Result<Option<Bytes>> {
    let Some(room) = workload.room(params)? else { return Ok(None) };
    let Some(space) = engine.space()? else { return Ok(None) };
    let needed = room.on(space.sharing);
    if needed <= space.free {
        return Ok(Some(needed));
    }
    Err(Error::Room {
        workload: workload.name(),
        drivers: engine.driver().name().to_owned(),
        needed,
        free: space.free,
        parameters: room.parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_copy_takes_all_of_it_for_each_layer_and_blocks_next_to_nothing() {
        let gib = 1 << 30;
        let room = Room {
            content: Bytes(10 * gib),
            above: 8,
            changed_files: 10,
            changed: Bytes(9 * gib),
            parameters: "sizes",
        };
        let on = |sharing| room.on(sharing).get() as f64 / gib as f64;
        assert!((90.0..92.0).contains(&on(Sharing::None)), "{}", on(Sharing::None));
        assert!((19.0..20.0).contains(&on(Sharing::File)), "{}", on(Sharing::File));
        for block in [1, 4096, 65536] {
            assert!((10.0..10.3).contains(&on(Sharing::Block(block))), "{}", on(Sharing::Block(block)));
        }
    }

    #[test]
    fn what_no_number_holds_is_too_much_and_no_panic() {
        let room = Room { content: Bytes(u64::MAX / 2), above: u64::MAX, ..Room::default() };
        assert_eq!(room.on(Sharing::None), Bytes(u64::MAX));
    }
}
