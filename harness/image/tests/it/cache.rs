use std::time::Duration;

use harness_image::{CacheEntry, ChainId, Digest, Error, LayerBlob};
use storage_driver::Timestamp;

use crate::support::Fixture;

fn entry(layer: Option<LayerBlob>) -> CacheEntry {
    let chain = layer.as_ref().map(|layer| ChainId::on(None, &layer.diff_id));
    CacheEntry { instruction: "RUN make".into(), layer, chain, created: Timestamp(1), notes: [].into() }
}

#[test]
fn an_entry_comes_back_until_its_layer_is_gone() {
    let fixture = Fixture::new();
    let (cache, key) = (fixture.store.cache(), Digest::of(b"step"));
    assert_eq!(cache.get(&key).unwrap(), None);
    let made = entry(Some(fixture.layer("made")));
    cache.put(&key, &made).unwrap();
    assert_eq!(cache.get(&key).unwrap(), Some(made.clone()));
    std::fs::remove_file(fixture.store.blobs().path(&made.layer.unwrap().digest)).unwrap();
    assert_eq!(cache.get(&key).unwrap(), None);
    assert!(cache.list().unwrap().is_empty());
}

#[test]
fn a_damaged_entry_is_forgotten() {
    let fixture = Fixture::new();
    let (cache, key) = (fixture.store.cache(), Digest::of(b"step"));
    cache.put(&key, &entry(None)).unwrap();
    std::fs::write(fixture.dir.path().join(format!("cache/{}.json", key.hex())), "{\"instr").unwrap();
    assert_eq!(cache.get(&key).unwrap(), None);
    cache.put(&key, &entry(None)).unwrap();
    assert!(cache.get(&key).unwrap().is_some());
}

#[test]
fn an_entry_needs_its_layer() {
    let fixture = Fixture::new();
    let layer = fixture.layer("x");
    std::fs::remove_file(fixture.store.blobs().path(&layer.digest)).unwrap();
    let error = fixture.store.cache().put(&Digest::of(b"k"), &entry(Some(layer))).unwrap_err();
    assert!(matches!(error, Error::MissingBlob { .. }), "{error}");
}

#[test]
fn only_what_was_not_used_lately_is_pruned() {
    let fixture = Fixture::new();
    let cache = fixture.store.cache();
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    cache.put(&old, &entry(None)).unwrap();
    cache.put(&new, &entry(None)).unwrap();
    let path = fixture.dir.path().join(format!("cache/{}.json", old.hex()));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(1000);
    std::fs::File::open(&path).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(cache.prune(Duration::from_secs(500)).unwrap(), [old]);
    assert!(cache.get(&new).unwrap().is_some());
}
