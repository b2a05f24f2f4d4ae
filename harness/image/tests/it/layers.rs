use std::{
    io::{Read, Write},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use driver_memory::MemoryDriver;
use harness_image::{
    Blob, CHAIN_LABEL, CacheEntry, ChainId, Digest, Error, Image, LayerBlob, Layers, PrepareOptions, Purpose,
    base::Base,
};
use storage_driver::{Bytes, CreateOptions, LayerId, LayerState, StorageDriver, Timestamp};

use crate::support::{Fixture, config, tar};

struct Setup {
    fixture: Fixture,
    driver: Arc<dyn StorageDriver>,
    layers: Layers,
}

impl Setup {
    fn new() -> Self {
        let fixture = Fixture::new();
        let driver: Arc<dyn StorageDriver> = Arc::new(MemoryDriver::open(fixture.dir.path()).unwrap());
        let layers = Layers::new(fixture.store.clone(), driver.clone()).unwrap();
        Self { fixture, driver, layers }
    }

    fn blob(&self, files: &[&str]) -> LayerBlob {
        LayerBlob::plain(self.fixture.store.blobs().put(&tar(files)).unwrap())
    }

    fn image(&self, layers: &[&[&str]], name: &str) -> Image {
        let layers = layers.iter().map(|files| self.blob(files)).collect();
        self.fixture.store.put_tagged(config(), layers, &[name.parse().unwrap()]).unwrap()
    }

    fn count(&self) -> usize {
        self.driver.list().unwrap().len()
    }

    fn reopened(&self) -> Layers {
        Layers::new(self.fixture.store.clone(), self.driver.clone()).unwrap()
    }

    /// A build step that writes these files.
    fn step(&self, parent: Option<&LayerId>, files: &[&str]) -> LayerId {
        let id = self.layers.prepare(parent, &PrepareOptions::default()).unwrap();
        self.driver.apply(&id, &mut &tar(files)[..]).unwrap();
        id
    }
}

#[test]
fn privileged_images_share_the_layers_they_have_in_common() {
    let setup = Setup::new();
    let base = setup.image(&[&["a"], &["b"]], "base");
    let app = setup.image(&[&["a"], &["b"], &["c"]], "app");
    let other = setup.image(&[&["b"], &["a"]], "other");
    let below = setup.layers.ensure(&base).unwrap().unwrap();
    assert_eq!(setup.count(), 2);
    let top = setup.layers.ensure(&app).unwrap().unwrap();
    assert_eq!(setup.count(), 3);
    assert_eq!(setup.driver.stat(&top).unwrap().parent, Some(below.clone()));
    setup.layers.ensure(&other).unwrap();
    assert_eq!(setup.count(), 5, "the same layers in another order are another chain");
    assert!(setup.driver.list().unwrap().iter().all(|layer| layer.state == LayerState::Sealed));

    let again = setup.reopened();
    assert_eq!(again.ensure(&app).unwrap(), Some(top));
    assert_eq!(again.layer_of(&base.chain().unwrap()).unwrap(), Some(below));
    assert_eq!(setup.count(), 5);
}

/// A layer that arrives as these bytes under this name.
fn arrives(setup: &Setup, layer: &LayerBlob, content: &[u8]) -> harness_image::Result<bool> {
    let mut content = content;
    let received = setup.layers.receive(None, layer, &mut content)?;
    let came = received.is_some();
    received.map_or(Ok(()), harness_image::Received::keep)?;
    Ok(came)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn of(bytes: &[u8]) -> LayerBlob {
    LayerBlob::plain(Blob { digest: Digest::of(bytes), size: Bytes(bytes.len() as u64) })
}

#[test]
fn privileged_one_reading_makes_layer_and_blob() {
    let (setup, plain) = (Setup::new(), tar(&["a"]));
    let layer = of(&plain);
    assert!(arrives(&setup, &layer, &plain).unwrap());
    let mut kept = Vec::new();
    setup.fixture.store.blobs().open_verified(&layer.digest).unwrap().read_to_end(&mut kept).unwrap();
    assert_eq!(kept, plain);
    let id = setup.layers.layer_of(&ChainId::on(None, &layer.diff_id)).unwrap().unwrap();
    assert_eq!(setup.driver.stat(&id).unwrap().state, LayerState::Sealed);
    assert!(!arrives(&setup, &layer, b"is not read").unwrap());
    assert_eq!(setup.count(), 1);
}

#[test]
fn privileged_what_arrives_as_something_else_is_neither_layer_nor_blob() {
    let (plain, other) = (tar(&["a"]), tar(&["b"]));
    let mut disguised = gzip(&plain);
    // Zeros behind a gzip member are ignored, so that even the lengths agree.
    disguised.resize(plain.len(), 0);
    let packed = gzip(&plain);
    let compressed = LayerBlob { diff_id: of(&plain).diff_id, ..of(&packed) };
    let wrong = [
        ("another tar", of(&plain), other),
        ("the tar, compressed", of(&plain), disguised),
        ("a shorter tar", of(&plain), plain[..plain.len() - 512].to_vec()),
        ("a longer tar", of(&plain), [&plain[..], &[0; 512]].concat()),
        ("another length", LayerBlob { size: Bytes(1), ..of(&plain) }, plain.clone()),
        ("a compressed layer", compressed, packed),
    ];
    for (what, layer, content) in wrong {
        let setup = Setup::new();
        let error = arrives(&setup, &layer, &content).unwrap_err();
        assert!(matches!(error, Error::WrongContent { .. }), "{what}: {error}");
        assert_eq!(setup.count(), 0, "{what}");
        assert!(setup.fixture.store.blobs().list().unwrap().is_empty(), "{what}");
        assert_eq!(setup.fixture.store.gc(&[]).unwrap().temporaries, 0, "{what}");
        // The one that is right may come after it.
        assert!(arrives(&setup, &of(&plain), &plain).unwrap());
    }
}

/// Whoever gives up what he made must not take what others have.
#[test]
fn privileged_only_what_is_named_is_pruned() {
    let setup = Setup::new();
    let (mine, theirs) = (tar(&["mine"]), tar(&["theirs"]));
    arrives(&setup, &of(&theirs), &theirs).unwrap();
    arrives(&setup, &of(&mine), &mine).unwrap();
    let pruned = setup.layers.prune_of(&[ChainId::on(None, &of(&mine).diff_id)]).unwrap();
    assert_eq!((pruned.removed.len(), setup.count()), (1, 1));
    assert!(setup.layers.layer_of(&ChainId::on(None, &of(&theirs).diff_id)).unwrap().is_some());
}

#[test]
fn an_image_without_layers_has_no_top() {
    let setup = Setup::new();
    let image = setup.fixture.store.put_image(config(), Vec::new()).unwrap();
    assert_eq!(setup.layers.ensure(&image).unwrap(), None);
}

#[test]
fn privileged_threads_that_want_the_same_layers_make_each_once() {
    let setup = Setup::new();
    let image = setup.image(&[&["a"], &["b"], &["c"]], "app");
    let tops: Vec<_> = thread::scope(|scope| {
        let ensure = || setup.layers.ensure(&image).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ensure)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(tops.iter().all(|top| *top == tops[0]));
    assert_eq!(setup.count(), 3);
}

#[test]
fn privileged_the_export_of_a_seeded_image_is_its_own_layer() {
    let setup = Setup::new();
    let image = Base::Synthetic("tiny".parse().unwrap()).ensure(&setup.fixture.store).unwrap();
    let top = setup.layers.ensure(&image).unwrap().unwrap();
    let (blob, stats) = setup.layers.export(&top).unwrap();
    assert_eq!(blob, image.layers()[0]);
    assert_eq!(stats.entries, 400 + 80 + 300);
}

#[test]
fn privileged_a_damaged_blob_makes_no_layer() {
    let setup = Setup::new();
    let image = setup.image(&[&["good"], &["content"]], "app");
    let path = setup.fixture.store.blobs().path(&image.layers()[1].digest);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[512] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bad).unwrap();
    let error = setup.layers.ensure(&image).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path: named, .. } if *named == path), "{error}");
    assert_eq!(setup.count(), 1, "the layer below is whole and stays");

    std::fs::remove_file(&path).unwrap();
    assert!(matches!(setup.layers.ensure(&image), Err(Error::MissingBlob { .. })));
    std::fs::write(&path, &good).unwrap();
    setup.layers.ensure(&image).unwrap().unwrap();
    assert_eq!(setup.count(), 2);
}

#[test]
fn privileged_a_committed_step_is_a_layer_of_the_image_made_of_it() {
    let setup = Setup::new();
    let base = setup.image(&[&["base"]], "base");
    let below = setup.layers.ensure(&base).unwrap().unwrap();
    let step = setup.step(Some(&below), &["made"]);
    let committed = setup.layers.commit(&step, base.chain().as_ref()).unwrap();
    assert_eq!(committed.layer, step);
    assert_eq!(committed.stats.entries, 1);
    assert_eq!(committed.blob.size, committed.stats.size);
    assert_eq!(committed.chain, ChainId::on(base.chain().as_ref(), &committed.blob.diff_id));
    let info = setup.driver.stat(&step).unwrap();
    assert_eq!(info.state, LayerState::Sealed);
    assert_eq!(info.labels.get(CHAIN_LABEL), Some(&committed.chain.to_string()));

    let mut bytes = Vec::new();
    let mut blob = setup.fixture.store.blobs().open_verified(&committed.blob.digest).unwrap();
    blob.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, tar(&["made"]));

    let layers = vec![base.layers()[0].clone(), committed.blob];
    let image = setup.fixture.store.put_image(config(), layers).unwrap();
    assert_eq!(setup.layers.ensure(&image).unwrap(), Some(step));
    assert_eq!(setup.count(), 2);
}

#[test]
fn privileged_a_step_that_gives_what_is_there_already_is_dropped_for_it() {
    let setup = Setup::new();
    let first = setup.step(None, &["same"]);
    let second = setup.step(None, &["same"]);
    let first = setup.layers.commit(&first, None).unwrap();
    let second = setup.layers.commit(&second, None).unwrap();
    assert_eq!(first.layer, second.layer);
    assert_eq!(first.blob, second.blob);
    assert_eq!(setup.count(), 1);
}

#[test]
fn privileged_a_container_becomes_an_image_and_goes_on() {
    let setup = Setup::new();
    let options = PrepareOptions { purpose: Purpose::Container, ..PrepareOptions::default() };
    let container = setup.layers.prepare(None, &options).unwrap();
    setup.driver.apply(&container, &mut &tar(&["written"])[..]).unwrap();
    let (blob, _) = setup.layers.export(&container).unwrap();
    let (chain, layer) = setup.layers.ensure_on(None, &blob).unwrap();
    assert_ne!(layer, container);
    assert_eq!(setup.layers.layer_of(&chain).unwrap(), Some(layer));
    assert_eq!(setup.driver.stat(&container).unwrap().state, LayerState::Writable);
    let nowhere = ChainId::on(None, &blob.diff_id);
    let nowhere = ChainId::on(Some(&nowhere), &blob.diff_id);
    assert!(matches!(setup.layers.ensure_on(Some(&nowhere), &blob), Err(Error::InvalidImage { .. })));
}

/// A process that dies between making a layer and sealing it leaves one that must not be taken for whole; its
/// containers must stay.
#[test]
fn privileged_what_a_killed_process_was_making_is_removed_when_layers_are_opened() {
    let setup = Setup::new();
    let image = setup.image(&[&["a"]], "a");
    let half = LayerId::new("half-made").unwrap();
    let labels = [(CHAIN_LABEL.to_owned(), image.chain().unwrap().to_string())].into();
    setup.driver.create(&half, None, &CreateOptions { labels, ..CreateOptions::default() }).unwrap();
    let step = setup.step(None, &["step"]);
    let options = PrepareOptions { purpose: Purpose::Container, ..PrepareOptions::default() };
    let container = setup.layers.prepare(None, &options).unwrap();

    let layers = setup.reopened();
    let mut recovered = layers.recovered().to_vec();
    recovered.sort();
    let mut expected = vec![half, step];
    expected.sort();
    assert_eq!(recovered, expected);
    assert_eq!(setup.count(), 1);
    setup.driver.stat(&container).unwrap();
    layers.ensure(&image).unwrap().unwrap();
}

#[test]
fn privileged_prune_keeps_what_images_cache_callers_and_containers_need() {
    let setup = Setup::new();
    let kept = setup.image(&[&["base"], &["kept"]], "kept");
    let gone = setup.image(&[&["base"], &["gone"], &["top"]], "gone");
    setup.layers.ensure(&kept).unwrap();
    let top = setup.layers.ensure(&gone).unwrap().unwrap();
    let cached = setup.layers.commit(&setup.step(None, &["cached"]), None).unwrap();
    let asked = setup.layers.commit(&setup.step(None, &["asked"]), None).unwrap();
    let entry = CacheEntry {
        instruction: "RUN".into(),
        layer: Some(cached.blob),
        chain: Some(cached.chain),
        created: Timestamp::from_system(SystemTime::now()),
        notes: [].into(),
    };
    setup.fixture.store.cache().put(&Digest::of(b"key"), &entry).unwrap();
    assert!(setup.layers.prune(&[asked.chain]).unwrap().removed.is_empty());

    let options = PrepareOptions { purpose: Purpose::Container, ..PrepareOptions::default() };
    let container = setup.layers.prepare(Some(&top), &options).unwrap();
    setup.fixture.store.remove("gone", false).unwrap();
    let pruned = setup.layers.prune(&[asked.chain]).unwrap();
    assert!(pruned.removed.is_empty());
    assert_eq!(pruned.in_use.len(), 2, "a container stands on both");

    setup.layers.discard(&container).unwrap();
    assert_eq!(setup.layers.prune(&[asked.chain]).unwrap().removed.len(), 2);
    assert_eq!(setup.layers.layer_of(&gone.chain().unwrap()).unwrap(), None);
    setup.fixture.store.cache().prune(Duration::ZERO).unwrap();
    assert_eq!(setup.layers.prune(&[]).unwrap().removed.len(), 2);
    assert_eq!(setup.count(), 2);
    assert!(setup.layers.layer_of(&kept.chain().unwrap()).unwrap().is_some());
}

/// Hints only save looking: whatever they say, a chain's layer is the one whose record says so.
#[test]
fn privileged_hints_are_held_against_the_records() {
    let setup = Setup::new();
    let image = setup.image(&[&["a"], &["b"]], "image");
    let other = setup.layers.ensure(&setup.image(&[&["c"]], "other")).unwrap().unwrap();
    let top = setup.layers.ensure(&image).unwrap().unwrap();
    let chain = image.chain().unwrap();
    let hint = setup.fixture.store.root().join("chains/memory").join(chain.to_string().trim_start_matches("sha256:"));
    assert_eq!(std::fs::read_to_string(&hint).unwrap(), top.as_str());
    let writable = setup.step(None, &["d"]);
    for wrong in [other.as_str(), writable.as_str(), "nobody", "", "../../..", "a\0b"] {
        std::fs::write(&hint, wrong).unwrap();
        assert_eq!(setup.reopened().layer_of(&chain).unwrap().as_ref(), Some(&top), "{wrong:?}");
        assert_eq!(std::fs::read_to_string(&hint).unwrap(), top.as_str(), "{wrong:?}");
    }
    setup.fixture.store.remove("image", false).unwrap();
    setup.reopened().prune(&[]).unwrap();
    assert!(!hint.exists());
    assert_eq!(setup.reopened().layer_of(&chain).unwrap(), None);
}
