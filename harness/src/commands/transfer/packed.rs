//! Layers compressed otherwise on their way out: the image store keeps those that builds make as plain tars.

use clap::ValueEnum;
use harness_image::{Durability, Image, Store};
use storage_layer::Compression;

use crate::{
    failure::Result,
    place::Place,
    scratch::{Purpose, Scratch},
};

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    /// Plain tars
    Uncompressed,
    /// gzip, which every reader knows
    Gzip,
    /// Zstandard, which newer readers know
    Zstd,
}

impl From<Packing> for Compression {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::Uncompressed => Self::None,
            Packing::Gzip => Self::Gzip,
            Packing::Zstd => Self::Zstd,
        }
    }
}

/// Does something with images whose layers are compressed as asked, beside the store and only for so long; with the store's own
/// where nothing is asked for.
pub fn packed<T>(
    store: &Store,
    images: &[Image],
    packing: Option<Packing>,
    work: impl FnOnce(&Store, &[Image]) -> Result<T>,
) -> Result<T> {
    let Some(packing) = packing else { return work(store, images) };
    let place = Place::choose(store.root().parent());
    let scratch = Scratch::make(&place, Purpose::Packing)?;
    let beside = Store::open_with(scratch.path(), Durability::Skip)?;
    let images = images.iter().map(|image| harness_transfer::compress(store, image, packing.into(), &beside));
    let done = work(&beside, &images.collect::<Result<Vec<_>, _>>()?)?;
    drop(beside);
    scratch.close()?;
    Ok(done)
}
