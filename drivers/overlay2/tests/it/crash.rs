//! A process that is killed leaves mounts and half-made layers; the next opening clears up.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use driver_overlay2::{Options, Overlay2};
use storage_driver::{CreateOptions, Error, LayerState, MountMode, StorageDriver};

use crate::support::{Place, create, id, make, process, within};

/// In the other process: mounts, and waits for its end.
pub fn be_killed(root: &Path) {
    let driver = Overlay2::open(root, Options::default()).unwrap();
    make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    create(&driver, "top", Some("base"));
    let top = driver.mount(&id("top"), MountMode::ReadWrite).unwrap();
    let base = driver.mount(&id("base"), MountMode::ReadOnly).unwrap();
    fs::write(top.path().join("g"), "g").unwrap();
    fs::create_dir_all(root.join("staging/half/diff/deep")).unwrap();
    println!("\nmounted {} {}", top.path().display(), base.path().display());
    std::thread::sleep(std::time::Duration::from_secs(600));
}

/// In the other process: tries to open, and tells.
pub fn open_and_tell(root: &Path) {
    match Overlay2::open(root, Options::default()) {
        Ok(_) => println!("\nopened"),
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// Starts the other process and waits until it mounts.
fn start_to_be_killed(root: &Path) -> std::process::Child {
    let mut child = process("be killed", root).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("mounted")), "the other process mounts nothing");
    child
}

/// What another process says of opening the root.
fn open_elsewhere(root: &Path) -> String {
    let output = process("open", root).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn privileged_what_a_killed_process_left_is_cleared_up() {
    let place = Place::new();
    let mut child = start_to_be_killed(place.root());
    assert_eq!(place.mounts().len(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.mounts().len(), 2, "mounts outlive their maker");
    // Power loss can take links away, too.
    let links = place.names("l");
    fs::remove_file(place.root().join("l").join(&links[0])).unwrap();
    fs::write(place.root().join("l/stray"), "").unwrap();

    let driver = place.open();
    assert!(place.mounts().is_empty());
    let mut kinds: Vec<_> = driver.recovered().iter().map(|left| left.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["link", "lost link", "mount", "mount", "partial layer"]);
    assert_eq!(place.names("l"), links);
    assert_eq!(driver.stat(&id("base")).unwrap().state, LayerState::Sealed);
    within(&driver, "top", MountMode::ReadWrite, |root| {
        assert_eq!(fs::read_to_string(root.join("g")).unwrap(), "g");
        assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "f");
    });
    drop(driver);
    assert!(place.open().recovered().is_empty());
}

#[test]
fn privileged_lost_links_are_made_again_before_they_are_needed() {
    let place = Place::new();
    let legacy = [("mount_api", "legacy")];
    let driver = place.open_with(&legacy);
    make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    create(&driver, "top", Some("base"));
    drop(driver);
    fs::remove_dir_all(place.root().join("l")).unwrap();
    let driver = place.open_with(&legacy);
    assert_eq!(driver.recovered().len(), 2);
    within(&driver, "top", MountMode::ReadWrite, |root| assert!(root.join("f").exists()));
}

#[test]
fn privileged_one_process_at_a_time() {
    let place = Place::new();
    let driver = place.open();
    let said = open_elsewhere(place.root());
    assert!(said.contains("refused: "), "{said}");
    assert!(said.contains(&format!("is in use by process {}", std::process::id())), "{said}");
    assert!(matches!(Overlay2::open(place.root(), Options::default()), Err(Error::Locked { .. })));
    drop(driver);
    let said = open_elsewhere(place.root());
    assert!(said.contains("opened"), "{said}");
}

/// If writing the record fails after the scratch directory has gone, the layer is still writable.
#[test]
fn privileged_a_layer_whose_sealing_failed_can_be_mounted_and_sealed() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "a", None);
    within(&driver, "a", MountMode::ReadWrite, |root| fs::write(root.join("f"), "f").unwrap());
    let in_the_way = place.root().join("layers/a/.layer.json.new");
    fs::create_dir(&in_the_way).unwrap();
    File::create(in_the_way.join("file")).unwrap();
    driver.seal(&id("a")).unwrap_err();
    assert_eq!(driver.stat(&id("a")).unwrap().state, LayerState::Writable);
    within(&driver, "a", MountMode::ReadWrite, |root| fs::write(root.join("g"), "g").unwrap());
    fs::remove_dir_all(in_the_way).unwrap();
    driver.seal(&id("a")).unwrap();
}

#[test]
fn privileged_a_creation_that_fails_late_leaves_no_link() {
    let place = Place::new();
    let driver = place.open();
    // In the way of the last step, the rename.
    let in_the_way = place.root().join("layers/a");
    fs::create_dir(&in_the_way).unwrap();
    File::create(in_the_way.join("file")).unwrap();
    driver.create(&id("a"), None, &CreateOptions::default()).unwrap_err();
    assert!(place.names("l").is_empty() && place.names("staging").is_empty());
    fs::remove_dir_all(in_the_way).unwrap();
    create(&driver, "a", None);
}
