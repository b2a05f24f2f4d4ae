use std::{collections::BTreeMap, path::Path};

use storage_driver::{Error, Result};
use storage_layer::Owners;
use storage_root::Durability;

use crate::NAME;

/// How it is found out what a layer changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiffBy {
    /// By what the file system wrote since the layer was made.
    #[default]
    Generation,
    /// By comparing the layer's whole tree with its parent's.
    Walk,
}

/// What is done about quotas, which are on or off for a whole file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quota {
    /// They are used where somebody has switched them on.
    #[default]
    Auto,
    /// They are switched on.
    On,
}

/// How layers are kept; in force from when the root is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How it is found out what a layer changed.
    pub diff: DiffBy,
    /// Whether quotas may be switched on, for limits on a layer's size.
    pub quota: Quota,
    /// What becomes of the owners that layer tars name.
    pub owners: Owners,
    /// Whether sealed layers reach the disk.
    pub durability: Durability,
}

impl Options {
    /// Reads options by name: `diff=generation|walk`, `quota=auto|on`, `owners=keep|squash`, `sync=on|off`.
    ///
    /// # Errors
    /// [`Error::Unusable`] names an unknown option or value, and what there is.
    pub fn from_pairs(root: &Path, pairs: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        let wrong = |why: String| Err(Error::Unusable { driver: NAME, root: root.to_owned(), why });
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("diff", "generation") => options.diff = DiffBy::Generation,
                ("diff", "walk") => options.diff = DiffBy::Walk,
                ("diff", _) => return wrong(format!("option diff takes generation or walk, not {value:?}")),
                ("quota", "auto") => options.quota = Quota::Auto,
                ("quota", "on") => options.quota = Quota::On,
                ("quota", _) => return wrong(format!("option quota takes auto or on, not {value:?}")),
                ("owners", "keep") => options.owners = Owners::Keep,
                ("owners", "squash") => options.owners = Owners::Squash,
                ("owners", _) => return wrong(format!("option owners takes keep or squash, not {value:?}")),
                ("sync", "on") => options.durability = Durability::Sync,
                ("sync", "off") => options.durability = Durability::Skip,
                ("sync", _) => return wrong(format!("option sync takes on or off, not {value:?}")),
                _ => return wrong(format!("there is no option {name:?}; there are diff, quota, owners and sync")),
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
        assert_eq!(read("diff", "walk").unwrap().diff, DiffBy::Walk);
        assert_eq!(read("quota", "on").unwrap().quota, Quota::On);
        assert_eq!(read("owners", "squash").unwrap().owners, Owners::Squash);
        assert_eq!(read("sync", "off").unwrap().durability, Durability::Skip);
        for (name, value) in [("diff", "send"), ("quota", "off"), ("sync", "maybe"), ("owners", "me"), ("size", "1")] {
            let said = read(name, value).unwrap_err().to_string();
            assert!(said.contains(name), "{name}={value}: {said}");
        }
    }
}
