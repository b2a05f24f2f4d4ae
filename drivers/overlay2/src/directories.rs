use std::path::Path;

use storage_driver::{LayerId, Result};
use storage_root::glance;

/// Where a layer of the root at `root` is, by the names that moby's driver has for that. The root is not opened, and nothing
/// needs to be mounted: `MergedDir` is there while the layer is.
///
/// # Errors
/// [`NotFound`](storage_driver::Error::NotFound), [`Corrupt`](storage_driver::Error::Corrupt).
pub fn directories(root: &Path, id: &LayerId) -> Result<Vec<(&'static str, String)>> {
    let dir = |id: &LayerId, name: &str| root.join("layers").join(id.as_str()).join(name).display().to_string();
    let lower: Vec<_> = glance(root, id)?.iter().skip(1).map(|layer| dir(&layer.id, "diff")).collect();
    let mut found = vec![("MergedDir", dir(id, "merged")), ("UpperDir", dir(id, "diff")), ("WorkDir", dir(id, "work"))];
    if !lower.is_empty() {
        found.insert(0, ("LowerDir", lower.join(":")));
    }
    Ok(found)
}
