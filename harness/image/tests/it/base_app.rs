use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use driver_overlay2::{Options, Overlay2};
use harness_image::{Durability, Layers, base::Base};
use storage_driver::{MountMode, StorageDriver};
use storage_layer::{ApplyOptions, Manifest, Rules, apply};

use crate::support::Fixture;

/// Six layers with replaced files, changed owners, whiteouts and an opaque directory: what a driver shows of them is
/// what applying them one over the other to a plain directory gives.
#[test]
fn privileged_app_on_overlay_is_the_same_tree_as_in_a_plain_directory() {
    let fixture = Fixture::new();
    let image = "app".parse::<Base>().unwrap().ensure(&fixture.store).unwrap();
    assert_eq!(image.layers().len(), 6);

    let plain = fixture.dir.path().join("plain");
    fs::create_dir(&plain).unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
    for layer in image.layers() {
        let mut tar = fixture.store.blobs().open_blob(&layer.digest).unwrap();
        apply(&plain, &mut tar, &ApplyOptions::default()).unwrap();
    }

    let options = Options { durability: Durability::Skip, ..Options::default() };
    let driver = Arc::new(Overlay2::open(&fixture.dir.path().join("overlay2"), options).unwrap());
    let layers = Layers::new(fixture.store.clone(), driver.clone()).unwrap();
    let top = layers.ensure(&image).unwrap().unwrap();
    let rules = Rules { ignore_root: true, ..Rules::default() };
    let mounted = driver.mount(&top, MountMode::ReadOnly).unwrap();
    let differences = Manifest::scan(mounted.path()).unwrap().compare(&Manifest::scan(&plain).unwrap(), &rules);
    assert!(differences.is_empty(), "{differences:#?}");
    mounted.close().unwrap();

    // The image's own layer has an opaque marker, which an export spells out.
    let info = driver.stat(&top).unwrap();
    let below = layers.export(&info.parent.unwrap()).unwrap().0;
    assert_eq!(below, image.layers()[4]);
    driver.shutdown().unwrap();
}
