//! Taking layers away, and waiting for their space.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use storage_driver::{Error, Result};
use storage_root::delete_tree;
use storage_sys::btrfs;

use crate::TREE;

/// The numbers of deleted subvolumes whose space the kernel may not have given back yet.
#[derive(Debug, Default)]
pub struct Trash {
    leaving: Mutex<Vec<u64>>,
}

impl Trash {
    /// Deletes a layer's directory, with its subvolume and what is nested in that.
    pub fn delete(&self, layer: &Path) -> Result<()> {
        let gone = destroy_tree(layer).map_err(Error::io("delete the subvolume in", layer))?;
        delete_tree(layer)?;
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
        Ok(())
    }

    /// Waits until the kernel has given back the space of all that was deleted.
    pub fn wait(&self, root: &Path) -> Result<()> {
        /// For kernels that have to be asked again and again.
        const LIMIT: Duration = Duration::from_secs(600);
        let leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        if leaving.is_empty() {
            return Ok(());
        }
        let wait = || -> io::Result<()> {
            let root = File::open(root)?;
            btrfs::sync(&root)?;
            leaving.iter().try_for_each(|&id| btrfs::wait_for_cleaner(&root, id, LIMIT))?;
            btrfs::sync(&root)?;
            for &id in &leaving {
                // Without quotas there is none, and mostly the kernel was quicker.
                _ = btrfs::quota::forget(&root, id);
            }
            Ok(())
        };
        wait().map_err(Error::io("wait for the space of layers removed from", root))
    }
}

fn destroy_tree(layer: &Path) -> io::Result<Vec<u64>> {
    let tree = match File::open(layer.join(TREE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        tree => tree?,
    };
    if !btrfs::is_subvolume(&tree)? {
        return Ok(Vec::new());
    }
    let id = btrfs::info(&tree)?.id;
    drop(tree);
    btrfs::destroy(File::open(layer)?, id)
}
