//! Many at once.

use std::{fs, thread};

use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, create, id, lacks, make, within};

fn sixteen_threads(api: &str) {
    if lacks(api) {
        return;
    }
    let place = Place::new();
    let driver = place.open_with(&[("mount_api", api), ("sync", "off")]);
    make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    thread::scope(|scope| {
        for thread in 0..16 {
            let driver = &driver;
            scope.spawn(move || {
                for round in 0..10 {
                    let name = format!("layer-{thread}-{round}");
                    create(driver, &name, Some("base"));
                    within(driver, &name, MountMode::ReadWrite, |root| {
                        assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "f");
                        fs::write(root.join("f"), &name).unwrap();
                        assert_eq!(fs::read_to_string(root.join("f")).unwrap(), name);
                    });
                    within(driver, "base", MountMode::ReadOnly, |root| assert!(root.join("f").exists()));
                    driver.remove(&id(&name)).unwrap();
                }
            });
        }
    });
    assert_eq!(place.names("layers"), ["base"]);
    assert_eq!(place.names("l").len(), 1);
    assert!(place.names("staging").is_empty() && place.names("trash").is_empty());
}

#[test]
fn privileged_sixteen_threads_by_context() {
    sixteen_threads("new");
}

/// Each mount has a working directory of its own, and the process keeps its one.
#[test]
fn privileged_sixteen_threads_by_page() {
    let before = std::env::current_dir().unwrap();
    sixteen_threads("legacy");
    assert_eq!(std::env::current_dir().unwrap(), before);
}
