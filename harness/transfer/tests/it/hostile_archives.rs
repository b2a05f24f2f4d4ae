//! Archives that lie. Each is refused by name, and nothing of it stays, whichever way it comes.

use std::{
    fs,
    io::{self, Read},
    sync::Arc,
};

use driver_memory::MemoryDriver;
use harness_image::{Digest, Layers};
use harness_transfer::{Error, load, load_file};
use serde_json::{Value, json};
use storage_driver::StorageDriver;
use storage_layer::{Attributes, TarWriter};

use crate::support::{Fixture, configuration, descriptor, gzip, manifest, tar, tar_of};

/// How an archive is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Stream,
    File,
    /// From a file, its layers onto a driver.
    OntoDriver,
}

impl Way {
    fn load(self, fixture: &Fixture, archive: &[u8]) -> Result<(), Error> {
        if self == Self::Stream {
            return load(&fixture.store, archive, "evil.tar", &()).map(drop);
        }
        let path = fixture.path("evil.tar");
        fs::write(&path, archive).unwrap();
        let file = fs::File::open(path).unwrap();
        if self == Self::File {
            return load_file(&fixture.store, None, &file, "evil.tar", &()).map(drop);
        }
        let driver: Arc<dyn StorageDriver> = Arc::new(MemoryDriver::open(fixture.dir.path()).unwrap());
        let layers = Layers::new(fixture.store.clone(), driver.clone()).unwrap();
        let answer = load_file(&fixture.store, Some(&layers), &file, "evil.tar", &()).map(drop);
        assert_eq!(answer.is_err(), driver.list().unwrap().is_empty(), "layers are there: {answer:?}");
        answer
    }

    fn refused(self, archive: &[u8], why: &str) {
        let fixture = Fixture::new();
        let text = self.load(&fixture, archive).unwrap_err().to_string();
        assert!(text.contains("evil.tar") && text.contains(why), "{self:?}: {text:?} does not say {why:?}");
        assert!(text.len() < 2000, "{} bytes of message", text.len());
        fixture.assert_empty();
    }
}

fn docker(config: &[u8], layers: &[(&str, &[u8])], manifest: Value) -> Vec<u8> {
    let mut files = vec![("config.json", config.to_vec()), ("manifest.json", manifest.to_string().into_bytes())];
    files.extend(layers.iter().map(|(name, bytes)| (*name, bytes.to_vec())));
    tar_of(&files)
}

fn one_layer() -> Value {
    json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}])
}

#[test]
fn dockers_form_that_contradicts_itself() {
    [Way::Stream, Way::File].into_iter().for_each(contradictions_in_dockers_form);
}

#[test]
fn privileged_dockers_form_that_contradicts_itself_and_would_be_laid_out() {
    contradictions_in_dockers_form(Way::OntoDriver);
}

fn contradictions_in_dockers_form(way: Way) {
    let (layer, other) = (tar(&["a"]), tar(&["b"]));
    let config = configuration(&[&layer]);
    let good = docker(&config, &[("l.tar", &layer)], one_layer());
    assert!(way.load(&Fixture::new(), &good).is_ok());

    // In a file a plain layer is taken for what the configuration says, until it was read.
    let why = if way == Way::Stream { "the configuration says" } else { "is something else" };
    way.refused(&docker(&config, &[("l.tar", &other)], one_layer()), why);
    way.refused(&docker(&config, &[("l.tar", &gzip(&other))], one_layer()), "the configuration says");
    way.refused(&docker(&config, &[("l.tar", b"\x1f\x8bnot gzip")], one_layer()), "l");
    way.refused(&docker(&config, &[], one_layer()), "names \"l.tar\", which is not there");
    way.refused(&docker(&config, &[("l.tar", &layer)], json!([])), "lists no image");
    way.refused(&docker(&config, &[("l.tar", &layer)], json!({"Config": 1})), "malformed");
    way.refused(&docker(b"{}", &[("l.tar", &layer)], one_layer()), "configuration is malformed");
    way.refused(&docker(&configuration(&[]), &[("l.tar", &layer)], one_layer()), "0 layers");
    let windows = String::from_utf8(config.clone()).unwrap().replace("linux", "windows\\u001b[31m");
    way.refused(
        &docker(windows.as_bytes(), &[("l.tar", &layer)], one_layer()),
        "operating system \"windows\\u{1b}[31m\"",
    );
    let up = json!([{"Config": "../../etc/shadow", "Layers": ["/etc/passwd"]}]);
    way.refused(&docker(&config, &[("l.tar", &layer)], up), "\"../../etc/shadow\", which is not there");
    let many = json!([{"Config": "config.json", "Layers": vec!["l.tar"; 5000]}]);
    way.refused(&docker(&config, &[("l.tar", &layer)], many), "its manifest.json of 5000");
    let layers = vec![&layer[..]; 5000];
    let many = json!([{"Config": "config.json", "Layers": vec!["l.tar"; 5000]}]);
    way.refused(&docker(&configuration(&layers), &[("l.tar", &layer)], many), "5000 layers, more than");
    let hex = format!("{}.json", "0".repeat(64));
    let wrong = json!([{"Config": hex, "Layers": ["l.tar"]}]);
    way.refused(&docker(&config, &[("l.tar", &layer), (&hex, &config)], wrong), "has the digest");
    let images = vec![json!({"Config": "config.json", "Layers": ["l.tar"]}); 2000];
    way.refused(&docker(&config, &[("l.tar", &layer)], json!(images)), "2000 images");
    let name = json!([{"Config": "config.json", "RepoTags": ["../evil"], "Layers": ["l.tar"]}]);
    let fixture = Fixture::new();
    assert!(way.load(&fixture, &docker(&config, &[("l.tar", &layer)], name)).is_err());
    fixture.assert_empty();
}

#[test]
fn names_and_links_that_lead_outside() {
    [Way::Stream, Way::File].into_iter().for_each(names_and_links);
}

#[test]
fn privileged_names_and_links_that_lead_outside_and_would_be_laid_out() {
    names_and_links(Way::OntoDriver);
}

fn names_and_links(way: Way) {
    let file = |name: &str| tar_of(&[(name, b"x".to_vec())]);
    way.refused(&file("../../etc/cron.d/x"), "\"../../etc/cron.d/x\" leads out of the archive");
    way.refused(&file("/etc/passwd"), "has an absolute name");
    way.refused(&file("a/../../b"), "leads out of the archive");
    way.refused(&file("blobs/sha256/../../x"), "leads out of the archive");
    way.refused(&file("blobs/sha256/zz"), "is no name of a blob");
    let attributes = Attributes::default();
    for (target, why) in [("/etc/shadow", "absolute path"), ("../../../etc/shadow", "leads out")] {
        let mut archive = TarWriter::new(Vec::new());
        archive.symlink(b"a/layer.tar", target.as_bytes(), &attributes).unwrap();
        way.refused(&archive.finish().unwrap(), why);
        let mut archive = TarWriter::new(Vec::new());
        archive.hard_link(b"a/layer.tar", target.as_bytes(), &attributes).unwrap();
        way.refused(&archive.finish().unwrap(), if target.starts_with('/') { "absolute name" } else { "leads out" });
    }
    // Links in a circle lead nowhere.
    let config = configuration(&[&tar(&["a"])]);
    let mut archive = TarWriter::new(Vec::new());
    for (name, bytes) in [("config.json", config), ("manifest.json", one_layer().to_string().into_bytes())] {
        archive.file(name.as_bytes(), &attributes, bytes.len() as u64, &mut &bytes[..]).unwrap();
    }
    archive.symlink(b"l.tar", b"m.tar", &attributes).unwrap();
    archive.symlink(b"m.tar", b"l.tar", &attributes).unwrap();
    way.refused(&archive.finish().unwrap(), "which is not there");
}

fn layout(index: &Value, blobs: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = blobs.iter().map(|bytes| format!("blobs/sha256/{}", Digest::of(bytes).hex())).collect();
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json", index.to_string().into_bytes()),
    ];
    files.extend(names.iter().zip(blobs).map(|(name, bytes)| (name.as_str(), bytes.to_vec())));
    tar_of(&files)
}

fn index_of(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "manifests": manifests})
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn layouts_that_contradict_themselves() {
    [Way::Stream, Way::File].into_iter().for_each(contradictions_in_layouts);
}

#[test]
fn privileged_layouts_that_contradict_themselves_and_would_be_laid_out() {
    contradictions_in_layouts(Way::OntoDriver);
}

fn contradictions_in_layouts(way: Way) {
    let layer = tar(&["a"]);
    let config = configuration(&[&layer]);
    let whole = manifest(&config, &[&layer]);
    let bytes = whole.to_string().into_bytes();
    let index = index_of(&[descriptor(MANIFEST, &bytes)]);
    let good = layout(&index, &[&bytes, &config, &layer]);
    assert!(way.load(&Fixture::new(), &good).is_ok());

    way.refused(&layout(&index, &[&config, &layer]), "is not in it");
    way.refused(&layout(&index, &[&bytes, &config]), "is not in it");
    way.refused(&layout(&index_of(&[]), &[]), "no image");
    way.refused(&layout(&json!({"schemaVersion": 2}), &[]), "neither");
    // The content of a blob is not what it is called.
    let mut files = good.clone();
    let at = files.windows(3).rposition(|window| window == b"\"os").unwrap();
    files[at + 1] = b'x';
    way.refused(&files, "something else");
    // A size that is not the blob's.
    for size in [1_u64, 1 << 20, u64::MAX] {
        let mut lies = whole.clone();
        lies["layers"][0]["size"] = json!(size);
        let lies = lies.to_string().into_bytes();
        let index = index_of(&[descriptor(MANIFEST, &lies)]);
        way.refused(
            &layout(&index, &[&lies, &config, &layer]),
            if size == u64::MAX { "more than" } else { "not in it" },
        );
    }
    let mut lies = index.clone();
    lies["manifests"][0]["size"] = json!(u64::MAX);
    way.refused(&layout(&lies, &[&bytes, &config, &layer]), "is said to have");
    // Lists in lists in lists.
    let (mut blobs, mut inner) = (vec![bytes.clone(), config, layer], descriptor(MANIFEST, &bytes));
    for _ in 0..10 {
        let list = index_of(&[inner]).to_string().into_bytes();
        inner = descriptor(INDEX, &list);
        blobs.push(list);
    }
    let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    way.refused(&layout(&index_of(&[inner]), &blobs), "lead to further lists");
    let many = vec![descriptor(MANIFEST, &bytes); 5000];
    way.refused(&layout(&index_of(&many), &[]), "5000 manifests");
}

#[test]
fn archives_that_end_too_early_or_never() {
    [Way::Stream, Way::File].into_iter().for_each(early_ends);
}

#[test]
fn privileged_archives_that_end_too_early_or_never_and_would_be_laid_out() {
    early_ends(Way::OntoDriver);
}

fn early_ends(way: Way) {
    let layer = tar(&["a"]);
    let config = configuration(&[&layer]);
    let good = docker(&config, &[("l.tar", &layer)], one_layer());
    for length in [0, 100, 512, 1000, 2000, good.len() - 1500] {
        let fixture = Fixture::new();
        assert!(way.load(&fixture, &good[..length]).is_err(), "{length} bytes were enough");
        fixture.assert_empty();
    }
    let packed = gzip(&good);
    let fixture = Fixture::new();
    assert!(way.load(&fixture, &packed[..packed.len() / 2]).is_err());
    fixture.assert_empty();
    way.refused(b"hello", "evil.tar");
    way.refused(&tar_of(&[]), "neither manifest.json nor index.json");
    // A stream of directories without an end, and documents that are larger than any.
    let mut entry = TarWriter::new(Vec::new());
    entry.directory(b"d", &Attributes::default()).unwrap();
    let block = entry.finish().unwrap()[..512].to_vec();
    let endless = Repeat { block, at: 0 };
    let fixture = Fixture::new();
    let error = load(&fixture.store, endless, "evil.tar", &()).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }) && error.to_string().contains("number of entries"), "{error}");
    way.refused(&tar_of(&[("manifest.json", vec![b' '; 5 << 20])]), "manifest.json is larger than");
    way.refused(&tar_of(&[("a", b"1".to_vec()), ("a", b"2".to_vec())]), "is there twice");
    way.refused(&tar_of(&[("manifest.json", b"[]".to_vec()), ("manifest.json", b"[1]".to_vec())]), "there twice");
    way.refused(&docker(&config, &[(&"n".repeat(600), b"")], one_layer()), "the length of its name");
}

struct Repeat {
    block: Vec<u8>,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.block[self.at % 512];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn a_failed_load_leaves_other_images_and_names_alone() {
    let fixture = Fixture::new();
    let image = fixture.image(&["mine"], &["a:1"]);
    let config = configuration(&[&tar(&["a"])]);
    let evil = docker(&config, &[("l.tar", &tar(&["b"]))], one_layer());
    assert!(load(&fixture.store, &evil[..], "evil.tar", &()).is_err());
    assert_eq!(fixture.store.resolve("a:1").unwrap(), image);
    fixture.assert_clean();
}
