//! Images: content-addressed blobs, references, chains of layers, base images.
//!
//! [`Store`] keeps images on disk as an OCI image layout. [`Layers`] puts their layers on a storage driver and
//! makes image layers of what containers and build steps wrote. [`base`] makes images without a network.

#![deny(missing_docs)]

mod adopt;
mod archive;
pub mod base;
mod blob_writer;
mod blobs;
mod cache;
mod chain;
mod collect;
mod configuration;
mod contents;
mod document;
mod durable;
mod error;
mod glance;
mod image;
mod index;
mod layers;
mod lock;
pub mod media;
mod near;
mod partial;
mod reference;
mod resolve;
mod store;
mod time;

pub use archive::{is_bzip2_or_xz, open_archive};
pub use blob_writer::BlobWriter;
pub use blobs::{Blob, Blobs, VerifiedBlob};
pub use cache::{Cache, CacheEntry};
pub use chain::{ChainId, DiffId};
pub use collect::{Collected, Removal};
pub use configuration::{Configuration, DockerConfig, HealthCheck};
pub use contents::{End, Fate, LayerContents, Tally, contents};
pub use error::{Error, Result};
pub use image::{HistoryStep, Image, LayerBlob};
pub use layers::{
    Batch, CHAIN_LABEL, CommitTimes, Committed, Layers, PURPOSE_LABEL, PrepareOptions, Pruned, Purpose, Received,
    remove_unfinished,
};
pub use lock::Lease;
pub use partial::PartialBlob;
pub use reference::Reference;
pub use storage_layer::Digest;
pub use storage_root::Durability;
pub use store::Store;
pub use time::{parse_rfc3339, rfc3339};
