//! Where the layer of a chain was last seen, so that not all layers need to be read to find it.
//!
//! `<store>/chains/<driver>/<hex>` holds a layer's id. It is believed only when that layer's own record says the same, so it
//! needs to be neither durable nor whole nor right.

use std::{fs, path::PathBuf};

use storage_driver::LayerId;

use crate::{ChainId, Store};

#[derive(Debug)]
pub struct Hints(PathBuf);

impl Hints {
    pub fn of(store: &Store, driver: &str) -> Self {
        Self(store.root().join("chains").join(driver))
    }

    pub fn get(&self, chain: &ChainId) -> Option<LayerId> {
        LayerId::new(fs::read_to_string(self.path(chain)).ok()?).ok()
    }

    pub fn give(&self, chain: &ChainId, layer: &LayerId) {
        let path = self.path(chain);
        let write = || fs::write(&path, layer.as_str());
        let written = write().or_else(|_| fs::create_dir_all(&self.0).and_then(|()| write()));
        if let Err(error) = written {
            tracing::debug!(%chain, %error, "the next who asks for a chain must look at all layers");
        }
    }

    pub fn forget(&self, chain: &ChainId) {
        _ = fs::remove_file(self.path(chain));
    }

    fn path(&self, chain: &ChainId) -> PathBuf {
        self.0.join(chain.hex())
    }
}
