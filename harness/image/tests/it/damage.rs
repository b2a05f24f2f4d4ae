use std::{fs, io::Read};

use harness_image::{Error, Store};

use crate::support::Fixture;

/// One line, and it names the file.
fn assert_clear(error: &Error, path: &str) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains(path), "{text}");
}

fn overwrite(path: &std::path::Path, content: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_document_with_other_content_is_not_believed() {
    let fixture = Fixture::new();
    let image = fixture.image(&["x"], &["a", "b"]);
    for digest in [image.id, image.manifest_digest] {
        let path = fixture.store.blobs().path(&digest);
        let good = fs::read_to_string(&path).unwrap();
        for bad in ["", "{", &good.replace("linux", "linuy").replace("layers", "layerz")] {
            overwrite(&path, bad);
            let error = fixture.store.resolve("a").unwrap_err();
            assert_clear(&error, &digest.hex());
        }
        overwrite(&path, &good);
    }
    assert_eq!(fixture.store.resolve("a").unwrap(), image);
}

#[test]
fn a_damaged_layer_is_found_by_verify_and_by_verified_reading() {
    let fixture = Fixture::new();
    let image = fixture.image(&["content"], &["a"]);
    assert!(fixture.store.verify().unwrap().is_empty());
    let layer = image.layers()[0].digest;
    overwrite(&fixture.store.blobs().path(&layer), "Content");
    let wrong = fixture.store.verify().unwrap();
    assert_eq!(wrong.len(), 1);
    assert_clear(&wrong[0], &layer.hex());
    let mut text = String::new();
    assert!(fixture.store.blobs().open_verified(&layer).unwrap().read_to_string(&mut text).is_err());
    // Writing a shorter leftover again heals it.
    overwrite(&fixture.store.blobs().path(&layer), "Con");
    fixture.layer("content");
    assert!(fixture.store.verify().unwrap().is_empty());
}

#[test]
fn a_damaged_index_is_named_with_a_remedy() {
    let fixture = Fixture::new();
    fixture.image(&["x"], &["a"]);
    let index = fixture.dir.path().join("index.json");
    for bad in ["", "[]", "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"../../x\"}]}"] {
        fs::write(&index, bad).unwrap();
        assert_clear(&fixture.store.list().unwrap_err(), "index.json");
    }
    fs::remove_file(&index).unwrap();
    let error = fixture.store.resolve("a").unwrap_err();
    assert_clear(&error, "index.json is damaged: it is missing");
}

#[test]
fn a_layout_of_another_version_is_refused() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("oci-layout");
    fs::write(&path, "{\"imageLayoutVersion\":\"2.0.0\"}").unwrap();
    assert_clear(&Store::open(fixture.dir.path()).unwrap_err(), "oci-layout");
    fs::write(&path, "").unwrap();
    assert_clear(&Store::open(fixture.dir.path()).unwrap_err(), "oci-layout");
}

#[test]
fn an_opening_that_was_killed_half_way_is_completed() {
    let fixture = Fixture::new();
    fixture.image(&["x"], &["a"]);
    fs::remove_file(fixture.dir.path().join("oci-layout")).unwrap();
    let store = Store::open(fixture.dir.path()).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
}
