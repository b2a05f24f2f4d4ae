use std::{collections::BTreeMap, path::Path};

use storage_driver::{Error, Result};
use storage_layer::{Owners, copy::CopyStrategy};
use storage_root::Durability;

use crate::NAME;

/// How layers are copied; in force from when the root is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How file content is copied.
    pub copy: CopyStrategy,
    /// What becomes of the owners that layer tars name; matters in a user namespace that maps few ids.
    pub owners: Owners,
    /// Whether sealed layers reach the disk.
    pub durability: Durability,
}

impl Options {
    /// Reads options by name: `copy=copy|copy_file_range|reflink`, `owners=keep|squash`, `sync=on|off`.
    ///
    /// # Errors
    /// [`Error::Unusable`] names an unknown option or value, and what there is.
    pub fn from_pairs(root: &Path, pairs: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        let wrong = |why: String| Error::Unusable { driver: NAME, root: root.to_owned(), why };
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("copy", _) => options.copy = value.parse().map_err(|error| wrong(format!("option copy: {error}")))?,
                ("owners", "keep") => options.owners = Owners::Keep,
                ("owners", "squash") => options.owners = Owners::Squash,
                ("owners", _) => return Err(wrong(format!("option owners takes keep or squash, not {value:?}"))),
                ("sync", "on") => options.durability = Durability::Sync,
                ("sync", "off") => options.durability = Durability::Skip,
                ("sync", _) => return Err(wrong(format!("option sync takes on or off, not {value:?}"))),
                _ => return Err(wrong(format!("there is no option {name:?}; there are copy, owners and sync"))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Options> {
        Options::from_pairs(Path::new("/x"), &BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn reads_each_option_and_names_wrong_ones() {
        assert_eq!(read("copy", "reflink").unwrap().copy, CopyStrategy::Reflink);
        assert_eq!(read("sync", "off").unwrap().durability, Durability::Skip);
        for (name, value) in [("copy", "cp"), ("sync", "maybe"), ("owners", "me"), ("reflink", "on")] {
            assert!(read(name, value).is_err(), "{name}={value} was accepted");
        }
    }
}
