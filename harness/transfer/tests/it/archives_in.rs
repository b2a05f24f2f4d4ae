use std::{
    collections::HashSet,
    fs::{self, File},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use driver_memory::MemoryDriver;
use harness_image::{Layers, Reference};
use harness_transfer::{Form, Watch, load, load_file, save};
use serde_json::json;
use storage_driver::{Bytes, StorageDriver};
use storage_layer::{Attributes, TarWriter};

use crate::support::{Fixture, at, configuration, gzip, run, skopeo, tar, tar_of};

/// What docker wrote before version 25: a directory a layer, and a symlink for one that another image has too.
fn of_old() -> Vec<u8> {
    let (first, second) = (tar(&["first"]), tar(&["second"]));
    let one = configuration(&[&first, &second]);
    let two = configuration(&[&first, &first]);
    let name = |bytes: &[u8]| format!("{}.json", harness_image::Digest::of(bytes).hex());
    let manifest = json!([
        {"Config": name(&one), "RepoTags": ["one:1", "x.org/one:2"], "Layers": ["a/layer.tar", "b/layer.tar"]},
        {"Config": name(&two), "RepoTags": null, "Layers": ["a/layer.tar", "c/layer.tar"]},
    ])
    .to_string();
    let mut archive = TarWriter::new(Vec::new());
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    let mut file = |name: &str, bytes: &[u8]| {
        archive.file(name.as_bytes(), &attributes, bytes.len() as u64, &mut &bytes[..]).unwrap();
    };
    file(&name(&one), &one);
    file(&name(&two), &two);
    for (dir, layer) in [("a", &first), ("b", &second)] {
        file(&format!("{dir}/VERSION"), b"1.0");
        file(&format!("{dir}/json"), b"{}");
        file(&format!("{dir}/layer.tar"), layer);
    }
    file("manifest.json", manifest.as_bytes());
    file("repositories", b"{}");
    archive.symlink(b"c/layer.tar", b"../a/layer.tar", &attributes).unwrap();
    archive.finish().unwrap()
}

#[test]
fn dockers_old_form_with_links_is_loaded() {
    for archive in [of_old(), gzip(&of_old()), zstd::encode_all(&of_old()[..], 3).unwrap()] {
        let fixture = Fixture::new();
        let loaded = load(&fixture.store, &archive[..], "a.tar", &()).unwrap();
        let names: Vec<Vec<_>> =
            loaded.iter().map(|loaded| loaded.names.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(names, [vec!["one:1", "x.org/one:2"], vec![]]);
        assert_eq!(loaded[1].image.layers()[0], loaded[1].image.layers()[1]);
        let one = configuration(&[&tar(&["first"]), &tar(&["second"])]);
        assert_eq!(fixture.store.resolve("one:1").unwrap().id, harness_image::Digest::of(&one), "the id is docker's");
        fixture.assert_clean();
    }
}

/// Every form, as a file with its layers laid out: as from a stream, and the layers are there.
#[test]
fn privileged_layers_are_laid_out_while_they_come() {
    let ours = Fixture::new();
    let image = ours.mixed(&["mixed:1"]);
    let form = |form| {
        let mut bytes = Vec::new();
        let names: Vec<Reference> = vec!["mixed:1".parse().unwrap()];
        save(&ours.store, &[(&image, names.as_slice())], form, &mut bytes, "a.tar").unwrap();
        bytes
    };
    let old = of_old();
    for archive in [form(Form::Oci), form(Form::Docker), gzip(&old), old] {
        let (streamed, fixture) = (Fixture::new(), Fixture::new());
        fs::write(fixture.path("a.tar"), &archive).unwrap();
        let file = || File::open(fixture.path("a.tar")).unwrap();
        let driver: Arc<dyn StorageDriver> = Arc::new(MemoryDriver::open(fixture.dir.path()).unwrap());
        let layers = Layers::new(fixture.store.clone(), driver.clone()).unwrap();
        let loaded = load_file(&fixture.store, Some(&layers), &file(), "a.tar", &()).unwrap();
        assert_eq!(loaded, load(&streamed.store, &archive[..], "a.tar", &()).unwrap());
        let count = driver.list().unwrap().len();
        let chains: HashSet<_> = loaded.iter().flat_map(|loaded| loaded.image.chains()).collect();
        assert_eq!(count, chains.len());
        for loaded in &loaded {
            assert!(layers.ensure(&loaded.image).unwrap().is_some());
        }
        assert_eq!(driver.list().unwrap().len(), count, "a layer was missing");
        // What is there is not made again, whether its blob is there or not.
        let lowest = loaded[0].image.layers()[0].digest;
        fs::remove_file(fixture.store.blobs().path(&lowest)).unwrap();
        assert_eq!(load_file(&fixture.store, Some(&layers), &file(), "a.tar", &()).unwrap(), loaded);
        assert_eq!(driver.list().unwrap().len(), count);
        assert!(fixture.store.blobs().contains(&lowest));
        fixture.assert_clean();
    }
}

/// A layer that several images of an archive have is read once, plain or compressed; so is one that comes twice in one image.
#[test]
fn privileged_what_images_share_is_read_once() {
    let fixture = Fixture::new();
    let (plain, packed) = (tar(&["first"]), gzip(&tar(&["second"])));
    let configs = [[&plain[..], &tar(&["second"]), &plain], [&tar(&["second"])[..], &plain, &plain]];
    let configs = configs.map(|layers| configuration(&layers));
    let names = ["one.json", "two.json"];
    let layers = [["p.tar", "z.tar", "p.tar"], ["z.tar", "p.tar", "p.tar"]];
    let entries = names.iter().zip(layers).map(|(name, layers)| json!({"Config": name, "Layers": layers}));
    let manifest = serde_json::Value::from(entries.collect::<Vec<_>>()).to_string().into_bytes();
    let files = [
        (names[0], configs[0].clone()),
        (names[1], configs[1].clone()),
        ("p.tar", plain.clone()),
        ("z.tar", packed.clone()),
        ("manifest.json", manifest),
    ];
    fs::write(fixture.path("a.tar"), tar_of(&files)).unwrap();
    let file = File::open(fixture.path("a.tar")).unwrap();
    let driver: Arc<dyn StorageDriver> = Arc::new(MemoryDriver::open(fixture.dir.path()).unwrap());
    let layers = Layers::new(fixture.store.clone(), driver.clone()).unwrap();
    let watch = Counted::default();
    let loaded = load_file(&fixture.store, Some(&layers), &file, "a.tar", &watch).unwrap();
    assert_eq!((loaded.len(), driver.list().unwrap().len()), (2, 6));
    assert_eq!(watch.0.load(Ordering::Relaxed), plain.len() as u64, "bytes of plain layers were moved");
    fixture.assert_clean();
}

/// How much was moved.
#[derive(Default)]
struct Counted(AtomicU64);

impl Watch for Counted {
    fn moved(&self, count: Bytes) {
        self.0.fetch_add(count.get(), Ordering::Relaxed);
    }
}

#[test]
fn loading_twice_changes_nothing() {
    let fixture = Fixture::new();
    let once = load(&fixture.store, &of_old()[..], "a.tar", &()).unwrap();
    let blobs = fixture.store.blobs().list().unwrap();
    assert_eq!(load(&fixture.store, &of_old()[..], "a.tar", &()).unwrap(), once);
    assert_eq!(fixture.store.blobs().list().unwrap(), blobs);
}

#[test]
fn what_skopeo_writes_is_loaded() {
    let ours = Fixture::new();
    let image = ours.gzipped(&["mixed:1"]);
    let layout = format!("{}:mixed:1", at("oci", ours.store.root()));
    let docker = ours.path("docker.tar");
    skopeo(&layout, &format!("{}:x.org/a/mixed:2", at("docker-archive", &docker)), &[]);
    let oci = ours.path("oci.tar");
    skopeo(&layout, &format!("{}:mixed:3", at("oci-archive", &oci)), &[]);
    let theirs = Fixture::new();
    let open = |path| File::open(path).unwrap();
    let loaded = load(&theirs.store, open(&docker), "docker.tar", &()).unwrap();
    assert_eq!(loaded[0].names[0].to_string(), "x.org/a/mixed:2");
    assert_eq!(loaded[0].image.chain(), image.chain());
    let loaded = load(&theirs.store, open(&oci), "oci.tar", &()).unwrap();
    assert_eq!(loaded[0].names[0].to_string(), "mixed:3");
    assert_eq!((loaded[0].image.id, loaded[0].image.chain()), (image.id, image.chain()));
    theirs.assert_clean();
}

#[test]
fn a_tar_of_a_layout_made_by_gnu_tar_is_loaded() {
    let ours = Fixture::new();
    let image = ours.mixed(&["x.org/mixed:1"]);
    let archive = ours.path("a.tar");
    let (root, file) = (ours.store.root().to_str().unwrap(), archive.to_str().unwrap());
    run("tar", "tar", &["-C", root, "-czf", file, "./oci-layout", "./index.json", "./blobs"]);
    let theirs = Fixture::new();
    let loaded = load(&theirs.store, File::open(&archive).unwrap(), "a.tar", &()).unwrap();
    assert_eq!((loaded.len(), loaded[0].image.manifest_digest), (1, image.manifest_digest));
    assert_eq!(loaded[0].image.references[0].to_string(), "x.org/mixed:1");
}
