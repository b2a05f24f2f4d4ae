//! What the ioctls do and tell, held against the `btrfs` program.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use storage_sys::btrfs::{self, ROOT_INODE};

use crate::support::{Place, tool};

/// The value that `btrfs subvolume show` gives for a name.
fn shown(path: &Path, name: &str) -> String {
    let text = tool(&["subvolume", "show"], path);
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[test]
fn privileged_what_is_made_is_what_the_tool_shows() {
    let place = Place::new();
    let dir = File::open(place.path()).unwrap();
    btrfs::create(&dir, OsStr::new("first")).unwrap();
    let first = place.path().join("first");
    fs::write(first.join("file"), "x").unwrap();
    btrfs::snapshot(File::open(&first).unwrap(), &dir, OsStr::new("second"), true).unwrap();
    let second = place.path().join("second");
    assert_eq!(fs::read_to_string(second.join("file")).unwrap(), "x");
    for path in [&first, &second] {
        let open = File::open(path).unwrap();
        let info = btrfs::info(&open).unwrap();
        assert_eq!(shown(path, "Subvolume ID"), info.id.to_string());
        assert_eq!(shown(path, "Parent ID"), info.parent.to_string());
        assert_eq!(shown(path, "Generation"), info.generation.to_string());
        assert_eq!(shown(path, "Gen at creation"), info.origin.to_string());
        assert_eq!(shown(path, "UUID"), uuid(info.uuid));
        let source = shown(path, "Parent UUID");
        assert_eq!(if source == "-" { uuid([0; 16]) } else { source }, uuid(info.source_uuid));
        assert_eq!(shown(path, "Flags") == "readonly", btrfs::is_read_only(&open).unwrap());
        assert!(btrfs::is_subvolume(&open).unwrap());
    }
    assert!(btrfs::is_read_only(File::open(&second).unwrap()).unwrap());
    assert_eq!(fs::write(second.join("file"), "y").unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
    btrfs::set_read_only(File::open(&second).unwrap(), false).unwrap();
    assert_eq!(shown(&second, "Flags"), "-");
    fs::write(second.join("file"), "y").unwrap();
    assert!(!btrfs::is_subvolume(&dir).unwrap());
    assert!(btrfs::create(&dir, OsStr::new("first")).is_err());
}

#[test]
fn privileged_nested_subvolumes_are_found_opened_and_deleted_innermost_first() {
    let place = Place::new();
    let dir = File::open(place.path()).unwrap();
    let open = |path: &str| File::open(place.path().join(path)).unwrap();
    btrfs::create(&dir, OsStr::new("outer")).unwrap();
    fs::create_dir_all(place.path().join("outer/some/dir")).unwrap();
    btrfs::create(open("outer/some/dir"), OsStr::new("inner")).unwrap();
    btrfs::create(open("outer/some/dir/inner"), OsStr::new("innermost")).unwrap();
    for number in 0..300 {
        btrfs::create(open("outer"), OsStr::new(&format!("n{number}"))).unwrap();
    }
    let nested = btrfs::nested(open("outer")).unwrap();
    assert_eq!(nested.len(), 301);
    let inner = nested.iter().find(|nested| nested.directory != ROOT_INODE).unwrap();
    assert_eq!(btrfs::path_within(open("outer"), inner).unwrap(), Path::new("some/dir/inner"));
    assert_eq!(btrfs::info(btrfs::open_by_id(&dir, inner.id).unwrap()).unwrap().id, inner.id);
    // A container may have made the one in the middle read-only.
    btrfs::set_read_only(open("outer/some/dir/inner"), true).unwrap();
    let outer = btrfs::info(open("outer")).unwrap().id;
    let gone = btrfs::destroy(&dir, outer).unwrap();
    assert_eq!(gone.len(), 303);
    assert!(!place.path().join("outer").exists());
    btrfs::sync(&dir).unwrap();
    for id in gone {
        btrfs::wait_for_cleaner(&dir, id, Duration::from_secs(60)).unwrap();
    }
    assert!(!tool(&["subvolume", "list"], place.path()).contains("outer"));
    assert!(!tool(&["subvolume", "list", "-d"], place.path()).contains("DELETED"));
    assert!(btrfs::open_by_id(&dir, outer).is_err());
}

#[test]
fn privileged_a_tree_is_removed_with_the_subvolumes_in_it_and_no_other() {
    let place = Place::new();
    let open = |path: &str| File::open(place.path().join(path)).unwrap();
    fs::create_dir_all(place.path().join("a/b")).unwrap();
    fs::create_dir(place.path().join("ab")).unwrap();
    for (dir, name) in [("a/b", "in"), ("a", "at"), ("ab", "beside"), ("", "target")] {
        btrfs::create(open(dir), OsStr::new(name)).unwrap();
        let subvolume = File::open(place.path().join(dir).join(name)).unwrap();
        btrfs::set_read_only(subvolume, true).unwrap();
    }
    std::os::unix::fs::symlink("../target", place.path().join("a/link")).unwrap();
    // A symlink is only a name.
    btrfs::remove_tree(&place.path().join("a/link")).unwrap();
    assert!(place.path().join("target").exists() && !place.path().join("a/link").is_symlink());
    btrfs::remove_tree(&place.path().join("a")).unwrap();
    assert!(!place.path().join("a").exists());
    assert!(place.path().join("ab/beside").exists() && place.path().join("target").exists());
    btrfs::remove_tree(&place.path().join("target")).unwrap();
    assert!(!place.path().join("target").exists());
    btrfs::remove_tree(&place.path().join("never")).unwrap();
}
