//! `volatile`: the kernel refuses to mount such an upper a second time unless its mark is removed.

use std::fs;

use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, apis, create, id, make, within};

#[test]
fn privileged_volatile_layers_can_be_mounted_again() {
    for api in apis() {
        let place = Place::new();
        let driver = place.open_with(&[("volatile", "on"), ("mount_api", api)]);
        assert_eq!(driver.status().pairs["volatile"], "on");
        make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
        create(&driver, "top", Some("base"));
        for round in ["first", "second"] {
            within(&driver, "top", MountMode::ReadWrite, |root| {
                let mounts = storage_sys::mountinfo::below(root).unwrap();
                assert!(mounts[0].super_options.contains("volatile"), "{mounts:?}");
                fs::write(root.join("f"), round).unwrap();
            });
            assert!(place.root().join("layers/top/work/work/incompat/volatile").exists());
        }
        driver.seal(&id("top")).unwrap();
        within(&driver, "top", MountMode::ReadOnly, |root| {
            assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "second");
        });
    }
}
