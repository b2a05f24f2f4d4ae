//! A store in a temporary directory, and images made by hand.

use std::{io::Write, sync::Arc};

use harness_image::{Durability, Image, LayerBlob, Reference, Store};
use oci_spec::image::{ImageConfiguration, ImageConfigurationBuilder};
use tempfile::TempDir;

pub struct Fixture {
    pub dir: TempDir,
    pub store: Arc<Store>,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), Durability::Skip).unwrap();
        Self { dir, store }
    }

    /// Content that stands for a layer where nobody unpacks it.
    pub fn layer(&self, content: &str) -> LayerBlob {
        let mut writer = self.store.blobs().create().unwrap();
        writer.write_all(content.as_bytes()).unwrap();
        LayerBlob::plain(writer.commit().unwrap())
    }

    pub fn image(&self, layers: &[&str], names: &[&str]) -> Image {
        let layers = layers.iter().map(|content| self.layer(content)).collect();
        let names: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
        self.store.put_tagged(config(), layers, &names).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let images = self.store.list().unwrap();
        images.iter().flat_map(|image| image.references.iter().map(ToString::to_string)).collect()
    }
}

pub fn config() -> ImageConfiguration {
    ImageConfigurationBuilder::default().architecture("amd64").os("linux").build().unwrap()
}
