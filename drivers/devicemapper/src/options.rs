use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use storage_driver::{Bytes, Error, Result};
use storage_root::Durability;

use crate::{NAME, filesystem::Fs};

/// Where the pool's blocks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Store {
    /// In two sparse files below the root, as loop devices.
    #[default]
    Files,
    /// On one block device, which is split in two.
    Device(PathBuf),
    /// On two block devices.
    Devices {
        /// What is in the layers.
        data: PathBuf,
        /// Which block is whose.
        metadata: PathBuf,
    },
}

/// How the pool is made and used; in force from when the root is opened.
///
/// `store`, `block_size` and the sizes belong to the pool from its making: another block size or another store is refused
/// later, and a size only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the pool's blocks are.
    pub store: Store,
    /// Size of the data file; the file is sparse, and takes what layers take.
    pub data_size: Option<Bytes>,
    /// Size of the metadata file, or of the metadata's part of a device that is split.
    pub metadata_size: Option<Bytes>,
    /// What layers share with each other, and what the first write to a shared place copies.
    pub block_size: Bytes,
    /// The file system of layers without a parent; all others have their parent's.
    pub fs: Fs,
    /// The size of that file system; like docker's `dm.basesize`.
    pub base_size: Option<Bytes>,
    /// No layer is made while fewer percent of the pool are free; like docker's `dm.min_free_space`.
    pub min_free_space: u64,
    /// Blocks of deleted files and of removed layers go back to what the pool is on.
    pub discard: bool,
    /// Whether sealed layers reach the disk.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store: Store::Files,
            data_size: None,
            metadata_size: None,
            block_size: Bytes(64 << 10),
            fs: Fs::Ext4,
            base_size: None,
            min_free_space: 10,
            discard: true,
            durability: Durability::Sync,
        }
    }
}

const KNOWN: &str = "device, data_device, metadata_device, data_size, metadata_size, block_size, fs, base_size, \
                     min_free_space, discard and sync";

/// The kernel's limits (thin-provisioning.rst): 64 KiB to 1 GiB, in steps of 64 KiB. Powers of two are cheaper.
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

impl Options {
    /// Reads options by name: `device=PATH`, or `data_device=PATH` and `metadata_device=PATH`; `data_size=SIZE`,
    /// `metadata_size=SIZE`, `block_size=SIZE`, `fs=ext4|xfs`, `base_size=SIZE`, `min_free_space=PERCENT`,
    /// `discard=on|off`, `sync=on|off`.
    ///
    /// # Errors
    /// [`Error::Unusable`] names an unknown option or value, and what there is.
    pub fn from_pairs(root: &Path, pairs: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        let wrong = |why: String| Error::Unusable { driver: NAME, root: root.to_owned(), why };
        let (mut device, mut data, mut metadata) = (None, None, None);
        for (name, value) in pairs {
            let size = || bytes(value).ok_or_else(|| wrong(format!("option {name} takes a size, not {value:?}")));
            let on_off = || match value.as_str() {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(wrong(format!("option {name} takes on or off, not {value:?}"))),
            };
            match name.as_str() {
                "device" => device = Some(PathBuf::from(value)),
                "data_device" => data = Some(PathBuf::from(value)),
                "metadata_device" => metadata = Some(PathBuf::from(value)),
                "data_size" => options.data_size = Some(size()?),
                "metadata_size" => options.metadata_size = Some(size()?),
                "block_size" => options.block_size = size()?,
                "fs" => options.fs = value.parse().map_err(wrong)?,
                "base_size" => options.base_size = Some(size()?),
                "min_free_space" => {
                    let percent = value.trim_end_matches('%').parse().ok().filter(|percent| *percent < 100);
                    options.min_free_space =
                        percent.ok_or_else(|| wrong(format!("option {name} takes 0 to 99 percent, not {value:?}")))?;
                }
                "discard" => options.discard = on_off()?,
                "sync" => options.durability = if on_off()? { Durability::Sync } else { Durability::Skip },
                _ => return Err(wrong(format!("there is no option {name:?}; there are {KNOWN}"))),
            }
        }
        options.store = match (device, data, metadata) {
            (None, None, None) => Store::Files,
            (Some(device), None, None) => Store::Device(device),
            (None, Some(data), Some(metadata)) => Store::Devices { data, metadata },
            _ => {
                return Err(wrong("give device, or both data_device and metadata_device".to_owned()));
            }
        };
        let block = options.block_size.get();
        if !block.is_power_of_two() || !BLOCK_SIZES.contains(&block) {
            return Err(wrong(format!("option block_size takes a power of two from 64K to 1G, not {block}")));
        }
        Ok(options)
    }
}

/// A number with K, M, G or T, in powers of 1024.
fn bytes(text: &str) -> Option<Bytes> {
    let factor = match text.to_ascii_uppercase().chars().last()? {
        'K' => 1 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        'T' => 1 << 40,
        _ => 1,
    };
    let digits = if factor == 1 { text } else { text.get(..text.len() - 1)? };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options::from_pairs(Path::new("/x"), &pairs)
    }

    #[test]
    fn each_option_is_read() {
        let options = read(&[
            ("device", "/dev/vdb"),
            ("block_size", "512k"),
            ("fs", "xfs"),
            ("base_size", "10G"),
            ("min_free_space", "5%"),
            ("discard", "off"),
            ("sync", "off"),
            ("metadata_size", "16M"),
        ])
        .unwrap();
        let expected = Options {
            store: Store::Device("/dev/vdb".into()),
            block_size: Bytes(512 << 10),
            fs: Fs::Xfs,
            base_size: Some(Bytes(10 << 30)),
            min_free_space: 5,
            discard: false,
            durability: Durability::Skip,
            metadata_size: Some(Bytes(16 << 20)),
            data_size: None,
        };
        assert_eq!(options, expected);
        assert_eq!(read(&[]).unwrap(), Options::default());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (name, value, said) in [
            ("block_size", "96K", "power of two"),
            ("block_size", "32K", "64K"),
            ("data_size", "much", "size"),
            ("data_size", "0", "size"),
            ("fs", "btrfs", "xfs"),
            ("min_free_space", "100", "percent"),
            ("discard", "yes", "on or off"),
            ("data_device", "/dev/vdb", "both"),
            ("chunk", "64K", "block_size"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(said), "{name}={value}: {error}");
        }
        assert!(read(&[("device", "/dev/vdb"), ("data_device", "/dev/vdc")]).is_err());
        assert!(read(&[("data_size", "ß")]).is_err());
    }
}
