//! The driver of an ordinary user, who is root in a user namespace.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use driver_overlay2::{Options, Overlay2};
use storage_driver::{Error, MountMode, StorageDriver};
use storage_layer::{ApplyOptions, Manifest, Rules};

use crate::support::{Place, create, id, make, options, process_by, within};

/// In the other process.
pub fn work(root: &Path) {
    for api in ["auto", "legacy"] {
        layers(&root.join(api), api);
    }
    let refused = Overlay2::open(&root.join("metacopy"), options(&[("metacopy", "on")])).unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }) && refused.to_string().contains("metacopy"), "{refused}");
    fs::write(root.join("done"), "").unwrap();
}

fn layers(root: &Path, api: &str) {
    let driver = Overlay2::open(root, Options { volatile: api == "auto", ..options(&[("mount_api", api)]) }).unwrap();
    assert!(!driver.capabilities().device_nodes.is_yes() && !driver.capabilities().privileged_xattrs.is_yes());
    assert_eq!(driver.status().pairs["xattrs"], "user.overlay.*");
    make(&driver, "base", None, |root| {
        fs::create_dir_all(root.join("dir/deep")).unwrap();
        for file in ["a", "b", "dir/c", "dir/deep/d"] {
            fs::write(root.join(file), file).unwrap();
        }
    });
    make(&driver, "top", Some("base"), |root| {
        fs::remove_file(root.join("a")).unwrap();
        fs::remove_dir_all(root.join("dir")).unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/new"), "new").unwrap();
        fs::write(root.join("b"), "changed").unwrap();
    });
    let tar = |layer: &str| {
        let mut tar = Vec::new();
        driver.diff(&id(layer), &mut tar).unwrap();
        tar
    };
    let plain = root.join("plain");
    fs::create_dir(&plain).unwrap();
    for layer in ["base", "top"] {
        storage_layer::apply(&plain, &mut tar(layer).as_slice(), &ApplyOptions::default()).unwrap();
    }
    create(&driver, "applied", Some("base"));
    driver.apply(&id("applied"), &mut tar("top").as_slice()).unwrap();
    let expected = Manifest::scan(&plain).unwrap();
    let rules = Rules { ignore_root: true, ..Rules::default() };
    for (layer, mode) in [("top", MountMode::ReadOnly), ("applied", MountMode::ReadWrite)] {
        within(&driver, layer, mode, |root| {
            let differences = expected.compare(&Manifest::scan(root).unwrap(), &rules);
            assert!(differences.is_empty(), "{layer}: {differences:?}");
        });
    }
    within(&driver, "top", MountMode::ReadOnly, |root| assert!(fs::write(root.join("x"), "").is_err()));
    for layer in ["applied", "top", "base"] {
        driver.remove(&id(layer)).unwrap();
    }
}

#[test]
fn privileged_nobody_has_layers_too() {
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = place.dir().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    fs::create_dir(place.root()).unwrap();
    let starter = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Urm"];
    let copy = place.dir().join("test");
    let mut command = process_by(&starter, &copy, "user namespace", &home);
    let output = command.output().expect("setpriv(1), unshare(1): install util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(home.join("done").exists(), "{said}");
}
