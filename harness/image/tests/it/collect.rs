use std::{io::Write, time::Duration};

use harness_image::{CacheEntry, ChainId, Digest, Error, Store};
use storage_driver::Timestamp;

use crate::support::Fixture;

#[test]
fn removing_the_last_name_removes_what_only_that_image_needs() {
    let fixture = Fixture::new();
    let base = fixture.image(&["base"], &["base"]);
    let app = fixture.image(&["base", "app"], &["app", "app:2"]);

    let first = fixture.store.remove("app", false).unwrap();
    assert_eq!(first.untagged, ["app".parse().unwrap()]);
    assert!(first.deleted.is_empty());

    let last = fixture.store.remove("app:2", false).unwrap();
    assert_eq!(last.deleted, [app.id, *app.chain().unwrap().digest()]);
    assert!(last.freed.get() > 0);
    assert!(!fixture.store.blobs().contains(&app.layers()[1].digest));
    assert!(fixture.store.blobs().contains(&base.layers()[0].digest));
    assert_eq!(fixture.store.resolve("base").unwrap(), base);
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 3);
}

#[test]
fn an_image_with_several_names_is_removed_by_id_only_by_force() {
    let fixture = Fixture::new();
    let image = fixture.image(&["x"], &["a", "b"]);
    let error = fixture.store.remove(&image.short_id(), false).unwrap_err();
    let expected = format!(
        "image {} has several names (a:latest, b:latest); remove it by name, or with --force",
        image.short_id()
    );
    assert_eq!(error.to_string(), expected);
    let removal = fixture.store.remove(&image.short_id(), true).unwrap();
    assert_eq!(removal.untagged.len(), 2);
    assert!(fixture.store.list().unwrap().is_empty());
    assert!(fixture.store.blobs().list().unwrap().is_empty());
}

#[test]
fn a_lease_keeps_blobs_for_a_later_collection() {
    let fixture = Fixture::new();
    fixture.image(&["x"], &["a"]);
    let lease = fixture.store.lease().unwrap();
    let removal = fixture.store.remove("a", false).unwrap();
    assert!(removal.deferred);
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 3);
    assert!(fixture.store.gc(&[]).unwrap().deferred);
    drop(lease);
    assert_eq!(fixture.store.gc(&[]).unwrap().blobs.len(), 3);
    assert!(fixture.store.blobs().list().unwrap().is_empty());
}

#[test]
fn collection_spares_images_cache_and_extra_roots() {
    let fixture = Fixture::new();
    fixture.image(&["image"], &["a"]);
    let cached = fixture.layer("cached");
    let (extra, garbage) = (fixture.layer("extra"), fixture.layer("garbage"));
    let key = Digest::of(b"key");
    let chain = Some(ChainId::on(None, &cached.diff_id));
    let entry = CacheEntry {
        instruction: "RUN x".into(),
        layer: Some(cached.clone()),
        chain,
        created: Timestamp(7),
        notes: [].into(),
    };
    fixture.store.cache().put(&key, &entry).unwrap();
    let collected = fixture.store.gc(&[extra.digest]).unwrap();
    assert_eq!(collected.blobs.iter().map(|blob| blob.digest).collect::<Vec<_>>(), [garbage.digest]);
    assert_eq!(collected.freed().get(), 7);

    assert_eq!(fixture.store.cache().prune(Duration::ZERO).unwrap(), [key]);
    assert_eq!(fixture.store.gc(&[]).unwrap().blobs.len(), 2);
}

#[test]
fn an_unfinished_blob_goes_with_its_writer_or_with_the_next_opening() {
    let fixture = Fixture::new();
    let mut dropped = fixture.store.blobs().create().unwrap();
    dropped.write_all(b"dropped").unwrap();
    drop(dropped);
    let tmp = fixture.dir.path().join("tmp");
    assert_eq!(tmp.read_dir().unwrap().count(), 0);

    // As a killed process leaves it.
    std::fs::write(tmp.join(".tmp-dead"), "half").unwrap();
    let writing = fixture.store.blobs().create().unwrap();
    Store::open(fixture.dir.path()).unwrap();
    assert_eq!(tmp.read_dir().unwrap().count(), 2, "a live writer's file was at risk");
    drop(writing);
    Store::open(fixture.dir.path()).unwrap();
    assert_eq!(tmp.read_dir().unwrap().count(), 0);
}

#[test]
fn what_a_damaged_image_needs_is_not_collected() {
    let fixture = Fixture::new();
    let image = fixture.image(&["x"], &["a"]);
    std::fs::remove_file(fixture.store.blobs().path(&image.id)).unwrap();
    assert!(matches!(fixture.store.gc(&[]), Err(Error::MissingBlob { .. })));
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 2);
    fixture.store.remove("a", false).unwrap();
    assert_eq!(fixture.store.gc(&[]).unwrap().blobs.len(), 2);
}
