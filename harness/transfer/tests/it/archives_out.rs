use std::{collections::BTreeSet, fs};

use harness_image::{Image, Reference};
use harness_transfer::{Form, load, save};
use serde_json::Value;

use crate::support::{Fixture, at, run, skopeo};

fn saved(fixture: &Fixture, images: &[(&Image, &[Reference])], form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    save(&fixture.store, images, form, &mut out, "out").unwrap();
    out
}

#[test]
fn what_is_saved_loads_as_the_same_image() {
    for form in [Form::Docker, Form::Oci] {
        let ours = Fixture::new();
        let (mixed, plain) = (ours.mixed(&["mixed:1", "x.org/mixed:2"]), ours.image(&["plain"], &["plain"]));
        let out = saved(&ours, &[(&mixed, &mixed.references), (&plain, &[])], form);
        assert_eq!(out, saved(&ours, &[(&mixed, &mixed.references), (&plain, &[])], form), "bytes differ");
        let theirs = Fixture::new();
        let loaded = load(&theirs.store, &out[..], "out", &()).unwrap();
        assert_eq!(loaded.len(), 2);
        assert_eq!(loaded[0].image, mixed);
        assert_eq!(loaded[1].image.manifest_digest, plain.manifest_digest);
        assert!(loaded[1].names.is_empty());
        theirs.assert_clean();
    }
}

/// docker before 25 and podman read manifest.json alone.
#[test]
fn both_forms_of_one_archive_hold_the_same_image() {
    let ours = Fixture::new();
    let image = ours.mixed(&["mixed:1"]);
    let dir = ours.path("unpacked");
    fs::create_dir(&dir).unwrap();
    let archive = ours.path("out.tar");
    fs::write(&archive, saved(&ours, &[(&image, &image.references)], Form::Docker)).unwrap();
    let listed = run("tar", "tar", &["-tf", archive.to_str().unwrap()]);
    let names: Vec<_> = listed.lines().collect();
    assert!(names.is_sorted(), "{names:?}");
    run("tar", "tar", &["-C", dir.to_str().unwrap(), "-xf", archive.to_str().unwrap()]);
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap() };
    assert_eq!(read("manifest.json")[0]["RepoTags"][0], "mixed:1");
    let annotations = &read("index.json")["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/mixed:1");
    for file in ["oci-layout", "index.json"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    let old = ours.path("old.tar");
    run("tar", "tar", &["-C", dir.to_str().unwrap(), "-cf", old.to_str().unwrap(), "."]);
    let theirs = Fixture::new();
    let loaded = load(&theirs.store, fs::File::open(old).unwrap(), "old.tar", &()).unwrap();
    assert_eq!((loaded[0].image.id, loaded[0].image.chain()), (image.id, image.chain()));
}

#[test]
fn skopeo_and_umoci_read_what_is_saved() {
    let ours = Fixture::new();
    let image = ours.gzipped(&["x.org/mixed:1"]);
    let archive = ours.path("out.tar");
    fs::write(&archive, saved(&ours, &[(&image, &image.references)], Form::Docker)).unwrap();
    let (docker, oci) = (ours.path("from-docker"), ours.path("from-oci"));
    skopeo(&format!("{}:x.org/mixed:1", at("docker-archive", &archive)), &at("dir", &docker), &[]);
    skopeo(&format!("{}:1", at("oci-archive", &archive)), &format!("{}:1", at("oci", &oci)), &[]);
    let bundle = ours.path("bundle");
    let layout = format!("{}:1", oci.display());
    run("umoci", "umoci", &["unpack", "--rootless", "--image", &layout, bundle.to_str().unwrap()]);
    let files: BTreeSet<_> = fs::read_dir(bundle.join("rootfs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, ["gzip", "plain"].map(str::to_owned).into());
}

#[test]
fn a_damaged_blob_is_not_saved() {
    let ours = Fixture::new();
    let image = ours.image(&["a"], &["a"]);
    let path = ours.store.blobs().path(&image.layers()[0].digest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let error = save(&ours.store, &[(&image, &[])], Form::Docker, &mut Vec::new(), "out").unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
