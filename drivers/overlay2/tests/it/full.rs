//! A file system without room for what the kernel makes itself.

use std::{fs, io, path::Path};

use storage_driver::{MountMode, StorageDriver};
use storage_sys::mount::{self, FsContext};

use crate::support::{Place, create, id};

/// Files that are there to be removed.
const FILES: usize = 24;

/// A file system that runs out of inodes, which are taken one by one.
fn mount_small(on: &Path) {
    fs::create_dir(on).unwrap();
    let context = FsContext::new("tmpfs").unwrap();
    context.set("nr_inodes", "64").unwrap();
    context.mount_at(on, rustix::mount::MountAttrFlags::empty()).unwrap();
}

fn fill(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut made = Vec::new();
    loop {
        let file = dir.join(format!("fill{}", made.len()));
        match fs::File::create(&file) {
            Ok(_) => made.push(file),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return made,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The kernel mounts read-only where it cannot make its own directory, and whoever writes is told of that and not of the room.
#[test]
fn privileged_no_room_to_mount_is_no_read_only_mount() {
    let place = Place::new();
    mount_small(place.root());
    let driver = place.open();
    create(&driver, "top", None);
    let files = fill(place.root());
    assert!(files.len() > FILES, "{}", files.len());
    let (mut refused, mut writable) = (0, 0);
    for file in &files[..FILES] {
        match driver.mount(&id("top"), MountMode::ReadWrite) {
            Ok(mounted) => {
                writable += 1;
                let written = fs::File::create(mounted.path().join("f")).map(drop);
                assert!(!written.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem));
                _ = fs::remove_file(mounted.path().join("f"));
                mounted.close().unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_no_space(), "{error}");
                assert_eq!(place.mounts(), [place.root()]);
            }
        }
        fs::remove_file(file).unwrap();
    }
    assert!(refused > 1 && writable > 0, "{refused} refused, {writable} writable");
    drop(driver);
    // Mount namespaces of other tests may have a copy for a moment, which makes it busy.
    mount::detach(place.root()).unwrap();
}
