use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use storage_driver::{Error, Result};
use storage_layer::Owners;
use storage_root::Durability;

use crate::{NAME, features::Features};

/// Which system calls mount a stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountApi {
    /// The new ones where the kernel has `lowerdir+`, else the old one.
    #[default]
    Auto,
    /// fsopen(2) and `lowerdir+`, or nothing.
    New,
    /// mount(2) with one page of options.
    Legacy,
}

/// How layers are made and mounted; in force from when the root is opened.
///
/// `redirect_dir` and `metacopy` belong to a layer from its making: mounted again under other options it keeps
/// its own, since its upper directory may need them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which system calls mount.
    pub mount_api: MountApi,
    /// Renaming a parent's directory is possible, at the price of the native diff.
    pub redirect_dir: bool,
    /// chmod and chown of a parent's file copy no data, at the price of the native diff; implies `redirect_dir`.
    pub metacopy: bool,
    /// Writes to mounted layers are never synced, not even when a program asks; sealing still syncs.
    pub volatile: bool,
    /// What becomes of the owners that layer tars name; matters in a user namespace that maps few ids.
    pub owners: Owners,
    /// Whether sealed layers reach the disk.
    pub durability: Durability,
}

impl Options {
    /// Reads options by name: `mount_api=auto|new|legacy`, `redirect_dir=on|off`, `metacopy=on|off`,
    /// `volatile=on|off`, `owners=keep|squash`, `sync=on|off`.
    ///
    /// # Errors
    /// [`Error::Unusable`] names an unknown option or value, and what there is.
    pub fn from_pairs(root: &Path, pairs: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        let wrong = |why: String| Error::Unusable { driver: NAME, root: root.to_owned(), why };
        for (name, value) in pairs {
            let on_off = || match value.as_str() {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(wrong(format!("option {name} takes on or off, not {value:?}"))),
            };
            match name.as_str() {
                "mount_api" => options.mount_api = value.parse().map_err(wrong)?,
                "redirect_dir" => options.redirect_dir = on_off()?,
                "metacopy" => options.metacopy = on_off()?,
                "volatile" => options.volatile = on_off()?,
                "owners" => options.owners = owners(value).map_err(wrong)?,
                "sync" => options.durability = if on_off()? { Durability::Sync } else { Durability::Skip },
                _ => {
                    let known = "mount_api, redirect_dir, metacopy, volatile, owners and sync";
                    return Err(wrong(format!("there is no option {name:?}; there are {known}")));
                }
            }
        }
        if options.metacopy && pairs.get("redirect_dir").is_some_and(|value| value == "off") {
            return Err(wrong("metacopy=on needs redirect_dir=on, and redirect_dir=off was given".to_owned()));
        }
        options.redirect_dir |= options.metacopy;
        Ok(options)
    }

    pub(crate) fn features(&self) -> Features {
        Features { redirect_dir: self.redirect_dir, metacopy: self.metacopy }.of_new_layer(None)
    }
}

fn owners(value: &str) -> Result<Owners, String> {
    match value {
        "keep" => Ok(Owners::Keep),
        "squash" => Ok(Owners::Squash),
        _ => Err(format!("option owners takes keep or squash, not {value:?}")),
    }
}

impl FromStr for MountApi {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "new" => Ok(Self::New),
            "legacy" => Ok(Self::Legacy),
            _ => Err(format!("option mount_api takes auto, new or legacy, not {text:?}")),
        }
    }
}

impl fmt::Display for MountApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::New => "new",
            Self::Legacy => "legacy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options::from_pairs(Path::new("/x"), &pairs)
    }

    #[test]
    fn metacopy_brings_redirect_dir_with_it() {
        let options = read(&[("metacopy", "on")]).unwrap();
        assert!(options.redirect_dir && options.metacopy && !options.volatile);
        assert!(read(&[("metacopy", "on"), ("redirect_dir", "off")]).is_err());
    }

    #[test]
    fn unknown_names_and_values_are_told() {
        assert!(read(&[("metacopi", "on")]).unwrap_err().to_string().contains("metacopy"));
        assert!(read(&[("volatile", "yes")]).unwrap_err().to_string().contains("on or off"));
        assert!(read(&[("owners", "me")]).unwrap_err().to_string().contains("squash"));
        assert!(read(&[("mount_api", "old")]).unwrap_err().to_string().contains("legacy"));
    }
}
