//! Image layers on one storage driver.

mod batch;
mod chains;
mod commit;
mod ensure;
mod hints;
mod known;
mod receive;

use std::{fmt, sync::Arc};

use storage_driver::{Bytes, CreateOptions, Labels, LayerId, LayerState, StorageDriver};

pub use self::batch::Batch;
pub use self::commit::{CommitTimes, Committed};
pub(crate) use self::hints::Hints;
pub use self::known::remove_unfinished;
pub use self::receive::Received;
use self::{batch::Batches, chains::Chains, known::chain_of};
use crate::{ChainId, Error, Result, Store};

/// The label that holds a layer's chain id.
pub const CHAIN_LABEL: &str = "chain-id";

/// The label that says what a writable layer is for.
pub const PURPOSE_LABEL: &str = "purpose";

/// What a writable layer is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A build step; worthless once the process that makes it is gone.
    #[default]
    Build,
    /// A container; stays until somebody removes it.
    Container,
}

impl Purpose {
    /// The value of [`PURPOSE_LABEL`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Container => "container",
        }
    }
}

/// How a writable layer is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrepareOptions {
    /// What it is for.
    pub purpose: Purpose,
    /// The most it may hold; see [`CreateOptions::size`].
    pub size: Option<Bytes>,
    /// It is worth nothing after a power loss, as all that is made for a build; see [`CreateOptions::scratch`].
    pub scratch: bool,
    /// Further labels.
    pub labels: Labels,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Layers that are gone, tops first.
    pub removed: Vec<LayerId>,
    /// Layers that nothing needs but that something stands on or has mounted.
    pub in_use: Vec<LayerId>,
}

/// Image layers on one storage driver.
///
/// A sealed layer that holds an image's layer has its chain id as a label, so the driver's own crash-safe record
/// is the only map from chains to layers; what else knows of it is a hint, and held against the record. The label is set before the layer is sealed: a layer that is not sealed
/// and has one was being made when its process died, and is removed when this is opened.
pub struct Layers {
    store: Arc<Store>,
    driver: Arc<dyn StorageDriver>,
    chains: Chains,
    hints: Hints,
    batches: Batches,
    recovered: Vec<LayerId>,
}

impl Layers {
    /// Removes what a killed process was making, where one may have been.
    ///
    /// # Errors
    /// When the driver cannot list its layers.
    pub fn new(store: Arc<Store>, driver: Arc<dyn StorageDriver>) -> Result<Self> {
        let recovered = if driver.was_at_rest() { Vec::new() } else { remove_unfinished(driver.as_ref())? };
        let hints = Hints::of(&store, driver.name());
        Ok(Self { store, driver, chains: Chains::default(), hints, batches: Batches::default(), recovered })
    }

    /// The image store.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The storage driver.
    #[must_use]
    pub const fn driver(&self) -> &Arc<dyn StorageDriver> {
        &self.driver
    }

    /// Unfinished layers that opening this removed.
    #[must_use]
    pub fn recovered(&self) -> &[LayerId] {
        &self.recovered
    }

    /// Makes a fresh writable layer with a random id.
    ///
    /// # Errors
    /// Those of [`StorageDriver::create`].
    pub fn prepare(&self, parent: Option<&LayerId>, options: &PrepareOptions) -> Result<LayerId> {
        let mut labels = options.labels.clone();
        labels.insert(PURPOSE_LABEL.to_owned(), options.purpose.as_str().to_owned());
        let id = random_id()?;
        // Removed at the next opening unless it is sealed; see `is_unfinished`.
        let is_build = options.purpose == Purpose::Build;
        if !is_build {
            // It stays after a crash, and so must what it stands on.
            self.settle()?;
        }
        let scratch = options.scratch || is_build;
        self.driver.create(&id, parent, &CreateOptions { size: options.size, labels, scratch })?;
        Ok(id)
    }

    /// Removes a layer that was [`prepare`](Self::prepare)d and is not wanted any more.
    ///
    /// # Errors
    /// Those of [`StorageDriver::remove`].
    pub fn discard(&self, id: &LayerId) -> Result<()> {
        Ok(self.driver.remove(id)?)
    }

    /// Removes the sealed layers that no image, no cache entry, none of `keep`, and no other layer needs.
    ///
    /// Writable layers are left alone: containers and builds own theirs.
    ///
    /// # Errors
    /// What the store says, of a damaged image too; what the driver says: layers removed until then are gone.
    pub fn prune(&self, keep: &[ChainId]) -> Result<Pruned> {
        self.prune_where(keep, |_| true)
    }

    /// As [`prune`](Self::prune), of these chains alone.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn prune_of(&self, chains: &[ChainId]) -> Result<Pruned> {
        self.prune_where(&[], |chain| chains.contains(chain))
    }

    fn prune_where(&self, keep: &[ChainId], may_go: impl Fn(&ChainId) -> bool) -> Result<Pruned> {
        let mut needed = self.store.cache().chains()?;
        needed.extend(keep);
        needed.extend(self.store.chains()?);
        self.list()?;
        let mut pruned = Pruned::default();
        // Tops first, so that a layer is tried when nothing stands on it any more.
        for layer in self.driver.list()?.into_iter().rev() {
            let Some(chain) = chain_of(&layer).filter(|_| layer.state == LayerState::Sealed) else { continue };
            if !may_go(&chain) || needed.contains(&chain) && self.chains.get(&chain).as_ref() == Some(&layer.id) {
                continue;
            }
            match self.chains.forget_while(&chain, &layer.id, || self.driver.remove(&layer.id)) {
                Ok(()) => {
                    self.hints.forget(&chain);
                    pruned.removed.push(layer.id);
                }
                Err(storage_driver::Error::HasChildren { .. } | storage_driver::Error::InUse { .. }) => {
                    pruned.in_use.push(layer.id);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pruned)
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("store", &self.store.root()).field("driver", &self.driver.name()).finish()
    }
}

/// 128 random bits: two processes, or two machines whose roots are merged, do not meet.
fn random_id() -> Result<LayerId> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(Error::io("get random bytes from", "getrandom(2)"))?;
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(LayerId::new(hex)?)
}
