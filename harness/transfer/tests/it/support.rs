//! A store in a temporary directory, images made by hand, and the programs of the system.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use harness_image::{Digest, Durability, Image, LayerBlob, Reference, Store};
use oci_spec::image::{ImageConfiguration, ImageConfigurationBuilder, MediaType};
use serde_json::{Value, json};
use storage_layer::{Attributes, TarWriter};
use tempfile::TempDir;

pub struct Fixture {
    pub dir: TempDir,
    pub store: Arc<Store>,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(&dir.path().join("store"), Durability::Skip).unwrap();
        Self { dir, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An image of plain layers, each with one file that says which it is.
    pub fn image(&self, layers: &[&str], names: &[&str]) -> Image {
        let layers = layers.iter().map(|content| self.blob(&tar(&[content]), MediaType::ImageLayer)).collect();
        self.named(layers, names)
    }

    /// An image of a plain and a gzip layer.
    pub fn gzipped(&self, names: &[&str]) -> Image {
        let mut layers = self.mixed_layers();
        layers.pop();
        self.named(layers, names)
    }

    /// An image of a plain, a gzip and a zstd layer. Of the last, Debian's umoci knows nothing, and docker's media types
    /// neither.
    pub fn mixed(&self, names: &[&str]) -> Image {
        self.named(self.mixed_layers(), names)
    }

    fn mixed_layers(&self) -> Vec<LayerBlob> {
        let plain = self.blob(&tar(&["plain"]), MediaType::ImageLayer);
        let second = self.blob(&gzip(&tar(&["gzip"])), MediaType::ImageLayerGzip);
        let third = self.blob(&zstd::encode_all(&tar(&["zstd"])[..], 3).unwrap(), MediaType::ImageLayerZstd);
        let diff = |name: &str| Digest::of(&tar(&[name])).to_string().parse().unwrap();
        vec![plain, LayerBlob { diff_id: diff("gzip"), ..second }, LayerBlob { diff_id: diff("zstd"), ..third }]
    }

    fn named(&self, layers: Vec<LayerBlob>, names: &[&str]) -> Image {
        let names: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
        self.store.put_tagged(config(), layers, &names).unwrap()
    }

    fn blob(&self, bytes: &[u8], media_type: MediaType) -> LayerBlob {
        let mut writer = self.store.blobs().create().unwrap();
        writer.write_all(bytes).unwrap();
        LayerBlob { media_type, ..LayerBlob::plain(writer.commit().unwrap()) }
    }

    /// Everything in the store is whole, and nothing is left over.
    pub fn assert_clean(&self) {
        assert!(self.store.verify().unwrap().is_empty());
        let left = self.store.gc(&[]).unwrap();
        assert!(left.blobs.is_empty() && left.temporaries == 0, "left over: {left:?}");
    }

    pub fn assert_empty(&self) {
        assert!(self.store.list().unwrap().is_empty());
        assert!(self.store.blobs().list().unwrap().is_empty(), "blobs are left over");
    }
}

pub fn config() -> ImageConfiguration {
    ImageConfigurationBuilder::default().architecture("amd64").os("linux").build().unwrap()
}

/// A layer tar of small files, each holding its own name.
pub fn tar(files: &[&str]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|name| (*name, name.as_bytes().to_vec())).collect();
    tar_of(&files)
}

pub fn tar_of(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    let mut writer = TarWriter::new(Vec::new());
    for (name, content) in files {
        writer.file(name.as_bytes(), &attributes, content.len() as u64, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The configuration of an image with these plain layers.
pub fn configuration(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

pub fn manifest(config: &[u8], layers: &[&[u8]]) -> Value {
    let layer = |bytes: &&[u8]| descriptor("application/vnd.oci.image.layer.v1.tar", bytes);
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// Runs a program of the system to its end and returns what it printed.
pub fn run(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install {package}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn skopeo(from: &str, to: &str, more: &[&str]) {
    let arguments = [&["copy", "--insecure-policy"], more, &[from, to]].concat();
    run("skopeo", "skopeo", &arguments);
}

/// The name of a place, as skopeo writes it.
pub fn at(transport: &str, path: &Path) -> String {
    format!("{transport}:{}", path.display())
}
