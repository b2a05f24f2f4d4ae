use std::fs::File;

use harness_transfer::load;
use serde_json::json;
use storage_layer::{Attributes, TarWriter};

use crate::support::{Fixture, at, configuration, gzip, run, skopeo, tar};

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
