//! Roots whose paths are longer than one fsconfig(2) string, or hold what mount(2) reads as separators.

use std::fs;

use driver_overlay2::Overlay2;
use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, apis, create, id, make, options, within};

#[test]
fn privileged_long_and_odd_paths() {
    for api in apis() {
        let place = Place::new();
        let odd = place.root().join(format!("a,b:c d\\e/{}/{}", "x".repeat(200), "y".repeat(200)));
        fs::create_dir_all(&odd).unwrap();
        let driver = Overlay2::open(&odd, options(&[("mount_api", api)])).unwrap();
        make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
        make(&driver, "middle", Some("base"), |root| fs::write(root.join("g"), "g").unwrap());
        create(&driver, "top", Some("middle"));
        within(&driver, "top", MountMode::ReadWrite, |root| {
            fs::write(root.join("f"), "changed").unwrap();
            assert!(root.join("g").exists());
        });
        within(&driver, "middle", MountMode::ReadOnly, |root| assert!(root.join("f").exists()));
        assert_eq!(driver.changes(&id("top")).unwrap().len(), 1);
    }
}
