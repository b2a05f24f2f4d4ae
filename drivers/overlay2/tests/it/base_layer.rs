//! Layers without a parent are overlays as well, and read-only ones refuse root too.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::{
    fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, lsetxattr, makedev, mknodat},
    io::Errno,
};
use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, apis, create, id, make, within};

#[test]
fn privileged_nobody_makes_whiteouts_by_hand() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "base", None);
    within(&driver, "base", MountMode::ReadWrite, |root| {
        let whiteout = mknodat(CWD, root.join("x"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0));
        assert_eq!(whiteout, Err(Errno::PERM));
        fs::write(root.join("a"), "a").unwrap();
        fs::rename(root.join("a"), root.join("b")).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        fs::rename(root.join("d"), root.join("e")).unwrap();
        fs::remove_file(root.join("b")).unwrap();
    });
    let diff = place.root().join("layers/base/diff");
    let left: Vec<_> = fs::read_dir(&diff).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["e"], "a deletion with nothing below left a mark");
}

#[test]
fn privileged_overlay_marks_do_not_show() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "base", None);
    let diff = place.root().join("layers/base/diff");
    fs::create_dir(diff.join("d")).unwrap();
    lsetxattr(diff.join("d"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    mknodat(CWD, diff.join("w"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
    let look = |root: &std::path::Path| {
        // Before Linux 6.7 the kernel answers that there can be no such xattr, since then that there is none.
        let seen = lgetxattr(root.join("d"), "trusted.overlay.opaque", &mut [0; 8]);
        assert!(matches!(seen, Err(Errno::NODATA | Errno::OPNOTSUPP)), "{seen:?}");
        assert!(root.join("w").symlink_metadata().is_err());
    };
    within(&driver, "base", MountMode::ReadWrite, look);
    driver.seal(&id("base")).unwrap();
    within(&driver, "base", MountMode::ReadOnly, look);
}

#[test]
fn privileged_read_only_refuses_root_too() {
    for api in apis() {
        let place = Place::new();
        let driver = place.open_with(&[("mount_api", api)]);
        make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
        make(&driver, "top", Some("base"), |root| fs::write(root.join("g"), "g").unwrap());
        create(&driver, "open", Some("top"));
        for layer in ["base", "top", "open"] {
            within(&driver, layer, MountMode::ReadOnly, |root| {
                let refused = [
                    fs::write(root.join("new"), ""),
                    fs::write(root.join("f"), "changed"),
                    fs::remove_file(root.join("f")),
                    fs::create_dir(root.join("dir")),
                ];
                for result in refused {
                    assert_eq!(result.unwrap_err().raw_os_error(), Some(Errno::ROFS.raw_os_error()), "{api} {layer}");
                }
                assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "f");
            });
        }
        let names = place.names("layers/base");
        assert_eq!(names, ["diff", "layer.json"], "a sealed layer keeps no scratch space");
    }
}

#[test]
fn privileged_roots_have_their_parents_attributes() {
    let place = Place::new();
    let driver = place.open();
    make(&driver, "base", None, |root| {
        let found = root.metadata().unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o755, 0, 0));
        std::os::unix::fs::chown(root, Some(1), Some(2)).unwrap();
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o1705)).unwrap();
        lsetxattr(root, "user.note", b"kept", XattrFlags::empty()).unwrap();
    });
    create(&driver, "top", Some("base"));
    within(&driver, "top", MountMode::ReadWrite, |root| {
        let found = root.metadata().unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o1705, 1, 2));
        assert_eq!(lgetxattr(root, "user.note", &mut [0; 8]), Ok(4));
    });
    assert!(driver.changes(&id("top")).unwrap().is_empty());
}

/// A root in a directory that hands its group and ACL down, as shared ones do.
#[test]
fn privileged_nothing_is_inherited_from_where_the_root_is() {
    let place = Place::new();
    fs::set_permissions(place.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o2755)).unwrap();
    std::os::unix::fs::chown(place.dir(), None, Some(7)).unwrap();
    fs::set_permissions(place.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o2755)).unwrap();
    // Version 2; the owner, its group and others; rwx, r-x and nothing (acl(5), linux/posix_acl_xattr.h).
    let acl =
        [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255];
    lsetxattr(place.dir(), "system.posix_acl_default", &acl, XattrFlags::empty()).unwrap();
    let driver = place.open();
    make(&driver, "base", None, |root| fs::create_dir(root.join("d")).unwrap());
    within(&driver, "base", MountMode::ReadOnly, |root| {
        for path in [root.to_owned(), root.join("d")] {
            let found = path.metadata().unwrap();
            assert_eq!((found.mode() & 0o7777, found.gid()), (0o755, 0), "{}", path.display());
            assert_eq!(lgetxattr(&path, "system.posix_acl_default", &mut [0; 64]), Err(Errno::NODATA));
        }
    });
}
