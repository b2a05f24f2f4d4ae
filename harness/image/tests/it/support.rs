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

/// A layer tar of small files, each holding its own name.
pub fn tar(files: &[&str]) -> Vec<u8> {
    use storage_layer::{Attributes, TarWriter};
    let attributes = Attributes { mode: 0o644, mtime: (1_700_000_000, 0), ..Attributes::default() };
    let mut writer = TarWriter::new(Vec::new());
    for name in files {
        writer.file(name.as_bytes(), &attributes, name.len() as u64, &mut name.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// Runs a program of the system to its end and returns what it printed.
pub fn run(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install {package}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
