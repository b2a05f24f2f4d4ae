//! The store is an OCI image layout: other tools read it.

use harness_image::base::Base;

use crate::support::{Fixture, run};

fn fixture() -> (Fixture, String) {
    let fixture = Fixture::new();
    "tiny".parse::<Base>().unwrap().ensure(&fixture.store).unwrap();
    fixture.image(&["not unpacked"], &["ghcr.io/me/app:1"]);
    fixture.image(&["nameless"], &[]);
    let dir = fixture.dir.path().to_str().unwrap().to_owned();
    (fixture, dir)
}

#[test]
fn skopeo_inspects_by_name() {
    let (fixture, dir) = fixture();
    let image = fixture.store.resolve("tiny").unwrap();
    let json = run("skopeo", "skopeo", &["inspect", &format!("oci:{dir}:tiny:latest")]);
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["Digest"], image.manifest_digest.to_string());
    assert_eq!(answer["Layers"][0], image.layers()[0].digest.to_string());
    assert_eq!(answer["Os"], "linux");
    run("skopeo", "skopeo", &["inspect", &format!("oci:{dir}:ghcr.io/me/app:1")]);
}

#[test]
fn skopeo_copies_with_all_digests_checked() {
    let (fixture, dir) = fixture();
    let out = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", out.path().display());
    let from = format!("oci:{dir}:tiny:latest");
    run("skopeo", "skopeo", &["copy", "--insecure-policy", &from, &to]);
    let layer = fixture.store.resolve("tiny").unwrap().layers()[0].digest;
    assert!(out.path().join(layer.hex()).exists());
}

#[test]
fn umoci_lists_and_unpacks() {
    let (_fixture, dir) = fixture();
    let listed = run("umoci", "umoci", &["ls", "--layout", &dir]);
    let mut names: Vec<_> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["ghcr.io/me/app:1", "tiny:latest"]);
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("bundle");
    let image = format!("{dir}:tiny:latest");
    run("umoci", "umoci", &["unpack", "--rootless", "--image", &image, bundle.to_str().unwrap()]);
    assert!(bundle.join("rootfs/usr/bin").is_dir());
}
