//! Deleting directories, of all sizes and depths.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::{
    fs::{Mode, OFlags, mkdirat, open, openat},
    process::{Resource, getrlimit},
};
use storage_driver::Error;
use storage_root::delete_tree;

/// `count` files in each of `directories` directories, without content where they are many, and links that lead out.
fn make(top: &Path, directories: usize, count: usize) {
    for directory in 0..directories {
        let dir = top.join(format!("a/b/{directory}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..count {
            fs::write(dir.join(format!("{file}")), if count > 10_000 { "" } else { "x" }).unwrap();
        }
        symlink("../../../../outside", dir.join("link")).unwrap();
    }
}

#[test]
fn a_tree_of_any_size_goes_and_nothing_outside() {
    for (directories, count) in [(0, 0), (1, 3), (3, 40), (1, 2_000), (70, 0), (90, 30), (1, 20_000)] {
        let room = tempfile::tempdir().unwrap();
        let (top, outside) = (room.path().join("top"), room.path().join("outside"));
        fs::create_dir(&top).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "x").unwrap();
        make(&top, directories, count);
        delete_tree(&top).unwrap();
        assert!(!top.exists(), "{directories} {count}");
        assert!(outside.join("file").exists());
        delete_tree(&top).unwrap();
    }
}

#[test]
fn a_link_goes_and_what_it_leads_to_stays() {
    let room = tempfile::tempdir().unwrap();
    let (link, outside) = (room.path().join("link"), room.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    symlink(&outside, &link).unwrap();
    delete_tree(&link).unwrap();
    assert!(!link.is_symlink());
    assert!(outside.exists());
}

#[test]
fn a_tree_deeper_than_a_process_may_have_files_open_goes() {
    let room = tempfile::tempdir().unwrap();
    let top = room.path().join("top");
    fs::create_dir(&top).unwrap();
    let depth = getrlimit(Resource::Nofile).current.unwrap_or(1_024).clamp(2_100, 5_000);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = open(&top, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        for name in ["a", "b"] {
            mkdirat(&dir, name, Mode::RWXU).unwrap();
        }
        dir = openat(&dir, "a", flags, Mode::empty()).unwrap();
    }
    delete_tree(&top).unwrap();
    assert!(!top.exists());
}

/// Immutable files are what a container of root's can leave.
#[test]
fn what_cannot_be_deleted_is_named_and_the_rest_goes() {
    let room = tempfile::tempdir().unwrap();
    for count in [2, 50] {
        let top = room.path().join("top");
        fs::create_dir(&top).unwrap();
        make(&top, 4, count);
        let keeper = top.join("a/b/2/stays");
        fs::write(&keeper, "x").unwrap();
        let immutable = Immutable::make(&keeper);
        let error = delete_tree(&top).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if *path == keeper), "{error}");
        assert_eq!(fs::read_dir(top.join("a/b")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(top.join("a/b/2")).unwrap().count(), 1);
        drop(immutable);
        delete_tree(&top).unwrap();
        assert!(!top.exists());
    }
}

struct Immutable(fs::File);

impl Immutable {
    fn make(path: &Path) -> Self {
        let file = fs::File::open(path).unwrap();
        let flags = rustix::fs::ioctl_getflags(&file).unwrap() | rustix::fs::IFlags::IMMUTABLE;
        rustix::fs::ioctl_setflags(&file, flags).unwrap();
        Self(file)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let flags = rustix::fs::ioctl_getflags(&self.0).unwrap() & !rustix::fs::IFlags::IMMUTABLE;
        rustix::fs::ioctl_setflags(&self.0, flags).unwrap();
    }
}
