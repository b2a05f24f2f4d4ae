//! Layer tars laid into an overlay's upper directory.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Command,
};

use rustix::{
    fs::{lgetxattr, llistxattr},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use storage_driver::ApplyStats;
use storage_layer::{
    ApplyOptions, Devices, Owners, Whiteouts, apply,
    overlay::{self, XattrNamespace},
};

use crate::{
    tar_maker::{Raw, Tar},
    tree_maker::{Tree, lay},
    whiteouts::permutations,
};

fn lower(tree: &Tree) {
    tree.file("d/old", "old").file("d/sub/old", "old").file("d/both", "old").file("f", "old");
    tree.dir("usr/lib").symlink("lib", "/usr/lib").mode("d", 0o2700).mode("usr/lib", 0o711).mtime("usr/lib", 5, 6);
    tree.xattr("d", "user.mark", "x").mtime("f", 7, 8);
}

fn options(lowers: &[&Tree], namespace: XattrNamespace) -> ApplyOptions {
    let lowers = lowers.iter().map(|tree| tree.0.clone()).collect();
    ApplyOptions { whiteouts: Whiteouts::Overlay(namespace), lowers, ..ApplyOptions::default() }
}

fn lay_up(tar: &[u8], upper: &Tree, lower: &Tree) -> ApplyStats {
    apply(&upper.0, &mut &*tar, &options(&[lower], XattrNamespace::Trusted)).unwrap()
}

/// Makes a lower tree, and lays the tar into an upper directory on it and over a copy of it.
fn both_ways(tar: &[u8], look: impl FnOnce(&Tree, &Tree)) {
    let dir = tempfile::tempdir().unwrap();
    let [below, upper, view] = ["lower", "upper", "view"].map(|name| Tree::new(dir.path(), name));
    lower(&below);
    let plain = below.copy(dir.path(), "plain");
    lay_up(tar, &upper, &below);
    lay(tar, &plain);
    let options = format!("lowerdir={}:{}", upper.0.display(), below.0.display());
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &view.0, "overlay", MountFlags::empty(), options.as_c_str()).unwrap();
    let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        view.assert_like(&plain);
        look(&view, &upper);
    }));
    unmount(&view.0, UnmountFlags::DETACH).unwrap();
    if let Err(panic) = shown {
        std::panic::resume_unwind(panic);
    }
}

type Part = fn(Tar) -> Tar;

#[test]
fn privileged_whiteouts_in_every_order_show_the_same() {
    let sets: [&[Part]; 5] = [
        &[|t| t.file("d/.wh..wh..opq", b""), |t| t.file("d/new", b"new"), |t| t.file("d/sub/new", b"new")],
        &[|t| t.file(".wh.d", b""), |t| t.dir("d/"), |t| t.file("d/new", b"new"), |t| t.dir("d/sub")],
        &[|t| t.file(".wh.d", b""), |t| t.file("d/sub/deep", b"x")],
        &[|t| t.file(".wh.d", b""), |t| t.file("d/.wh.old", b""), |t| t.file("no/.wh.x", b""), |t| t.file("f", b"")],
        &[|t| t.file(".wh..wh..opq", b""), |t| t.file("d/new", b"new"), |t| t.file("g", b"x")],
    ];
    for parts in sets {
        for order in permutations(parts.len()) {
            let tar = order.iter().fold(Tar::default(), |tar, &part| parts[part](tar)).end();
            both_ways(&tar, |_, _| {});
        }
    }
}

#[test]
fn privileged_symlinks_of_lower_layers_are_followed() {
    both_ways(&Tar::default().file("lib/x", b"new").end(), |view, upper| {
        assert!(upper.at("usr/lib/x").is_file() && upper.at("lib").symlink_metadata().is_err());
        let copied = fs::metadata(view.at("usr/lib")).unwrap();
        assert_eq!((copied.mode() & 0o7777, copied.mtime(), copied.mtime_nsec()), (0o711, 5, 6));
    });
}

#[test]
fn privileged_a_directory_above_an_entry_is_copied_up_with_all_it_has() {
    both_ways(&Tar::default().file("d/new", b"new").end(), |_, upper| {
        assert_eq!(fs::metadata(upper.at("d")).unwrap().mode() & 0o7777, 0o2700);
        assert_eq!(lgetxattr(upper.at("d"), "user.mark", &mut [0_u8; 8][..]).unwrap(), 1);
    });
}

#[test]
fn privileged_a_hard_link_to_a_lower_file_copies_it_up() {
    both_ways(&Tar::default().link("g", "f").link("lib/h", "/f").end(), |view, upper| {
        assert_eq!(fs::metadata(upper.at("f")).unwrap().nlink(), 3);
        assert_eq!(fs::read(view.at("usr/lib/h")).unwrap(), b"old");
    });
}

#[test]
fn privileged_kinds_replace_each_other() {
    let tar = Tar::default().file("d", b"now a file").dir("f").file("f/x", b"").file("lib", b"no link");
    both_ways(&tar.end(), |_, _| {});
}

#[test]
fn privileged_whiteouts_of_nothing_leave_nothing() {
    let tar = Tar::default().dir("new").file("new/.wh.x", b"").file(".wh.never", b"").file("d/.wh.never", b"").end();
    both_ways(&tar, |_, upper| {
        assert_eq!(fs::read_dir(upper.at("new")).unwrap().count(), 0);
        assert!(upper.at("never").symlink_metadata().is_err());
    });
    let dir = tempfile::tempdir().unwrap();
    let upper = Tree::new(dir.path(), "upper");
    apply(&upper.0, &mut tar.as_slice(), &options(&[], XattrNamespace::Trusted)).unwrap();
    assert_eq!(fs::read_dir(&upper.0).unwrap().count(), 1, "with no layer below every whiteout is void");
}

#[test]
fn privileged_a_device_in_the_tar_is_never_a_whiteout() {
    let dir = tempfile::tempdir().unwrap();
    let [below, upper] = ["lower", "upper"].map(|name| Tree::new(dir.path(), name));
    lower(&below);
    let device = Raw { name: b"f", kind: b'3', ..Raw::default() };
    let stats = lay_up(&Tar::default().raw(&device).end(), &upper, &below);
    assert_eq!(stats.skipped.len(), 1);
    assert!(upper.at("f").symlink_metadata().is_err());
}

/// Runs the body below as root of a user namespace that maps one id, as an ordinary user would.
#[test]
fn a_user_namespace_can_do_it_too() {
    let inner = "overlay_apply::inside_a_user_namespace";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", inner, "--ignored", "--nocapture"])
        .output()
        .unwrap_or_else(|error| panic!("unshare: {error}; install util-linux"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run within a user namespace by a_user_namespace_can_do_it_too"]
fn inside_a_user_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let [below, upper, view] = ["lower", "upper", "view"].map(|name| Tree::new(dir.path(), name));
    lower(&below);
    let tar = Tar::default()
        .file(".wh.f", b"")
        .dir("d")
        .file("d/.wh..wh..opq", b"")
        .file("d/new", b"new")
        .pax(&[(b"uid", b"1234"), (b"SCHILY.xattr.trusted.x", b"not here"), (b"SCHILY.xattr.user.y", b"here")])
        .file("owned", b"x")
        .raw(&Raw { name: b"null", kind: b'3', device: (1, 3), ..Raw::default() })
        .end();
    let options =
        ApplyOptions { owners: Owners::Squash, devices: Devices::Skip, ..options(&[&below], XattrNamespace::User) };
    let stats = apply(&upper.0, &mut tar.as_slice(), &options).unwrap();
    let skipped: Vec<_> = stats.skipped.iter().map(|skipped| skipped.path.to_str().unwrap()).collect();
    assert_eq!(skipped, ["null", "owned"]);
    assert!(fs::symlink_metadata(upper.at("f")).unwrap().file_type().is_char_device());
    assert!(llistxattr(upper.at("owned"), &mut [0_u8; 64][..]).unwrap() > 0);

    let options = format!("lowerdir={}:{},userxattr", upper.0.display(), below.0.display());
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &view.0, "overlay", MountFlags::empty(), options.as_c_str()).unwrap();
    let shown: Vec<_> = ["f", "d/old", "d/new", "owned"].iter().map(|path| view.at(path).exists()).collect();
    assert_eq!(shown, [false, false, true, true]);
    let lowers: Vec<PathBuf> = vec![below.0.clone()];
    let native = overlay::changes(&upper.0, &lowers, XattrNamespace::User).unwrap();
    let walked = storage_layer::tree::changes(Some(&below.0), &view.0).unwrap();
    assert_eq!(native, walked);
    unmount(&view.0, UnmountFlags::DETACH).unwrap();
    fs::set_permissions(&upper.0, fs::Permissions::from_mode(0o755)).unwrap();
}
