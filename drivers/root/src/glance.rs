use std::path::Path;

use serde::de::IgnoredAny;
use storage_driver::{Error, LayerId, LayerInfo, Result};

use crate::{Record, open::LAYERS};

/// A layer and all below it, the layer first, as their records have them. The root is not opened, and may be another process's:
/// this is for telling of layers, and what is told may have passed.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Corrupt`].
pub fn glance(root: &Path, id: &LayerId) -> Result<Vec<LayerInfo>> {
    let mut chain: Vec<LayerInfo> = Vec::new();
    let mut next = Some(id.clone());
    let mut left = 1;
    while let Some(id) = next {
        let dir = root.join(LAYERS).join(id.as_str());
        let record = Record::<IgnoredAny>::read(&dir)?.ok_or_else(|| Error::NotFound { id: id.clone() })?;
        if chain.is_empty() {
            left = record.depth;
        }
        if left == 0 {
            let why = "more layers are below it than its chain has; remove the layer's directory";
            return Err(Error::Corrupt { path: dir, why: why.to_owned() });
        }
        left -= 1;
        next = record.info.parent.clone();
        chain.push(record.info);
    }
    Ok(chain)
}
