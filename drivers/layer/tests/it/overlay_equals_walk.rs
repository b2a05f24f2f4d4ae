//! The native overlay difference must be the very bytes that a walk of the merged views gives.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::FileType,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use storage_layer::{ApplyOptions, Error, Whiteouts, apply, overlay, overlay::XattrNamespace::Trusted, tree};

use crate::tree_maker::{Tree, lay};

/// Lower layers, an upper one, and both merged views, really mounted.
struct Overlay {
    dir: tempfile::TempDir,
    lowers: Vec<PathBuf>,
}

/// Unmounts when it is dropped.
struct View(PathBuf);

impl Drop for View {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl Overlay {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), lowers: Vec::new() }
    }

    /// Adds a layer on top of the others, made through an overlay mount as a driver would.
    fn layer(&mut self, make: impl FnOnce(&Tree)) -> &mut Self {
        let name = format!("layer{}", self.lowers.len());
        if self.lowers.is_empty() {
            let base = Tree::new(self.dir.path(), &name);
            make(&base);
            self.lowers.push(base.0);
        } else {
            let upper = self.upper(&name, make);
            self.lowers.insert(0, upper);
        }
        self
    }

    fn upper(&self, name: &str, make: impl FnOnce(&Tree)) -> PathBuf {
        let upper = Tree::new(self.dir.path(), name);
        let work = Tree::new(self.dir.path(), &format!("{name}.work"));
        let view = Tree::new(self.dir.path(), &format!("{name}.view"));
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off",
            self.lowerdir(),
            upper.0.display(),
            work.0.display()
        );
        let mounted = self.mount(&view.0, &options);
        make(&view);
        drop(mounted);
        upper.0
    }

    fn lowerdir(&self) -> String {
        let paths: Vec<_> = self.lowers.iter().map(|path| path.display().to_string()).collect();
        paths.join(":")
    }

    fn mount(&self, at: &Path, options: &str) -> View {
        let options = std::ffi::CString::new(options).unwrap();
        mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str())
            .unwrap_or_else(|error| panic!("overlay mount with {options:?}: {error}"));
        View(at.to_owned())
    }

    /// Makes the upper layer with `change` and compares the two ways of exporting it, and what comes of applying it.
    #[track_caller]
    fn check(&self, change: impl FnOnce(&Tree)) -> Vec<String> {
        let upper = self.upper("upper", change);
        let (before, after) = (Tree::new(self.dir.path(), "before"), Tree::new(self.dir.path(), "after"));
        let empty = Tree::new(self.dir.path(), "empty");
        let _before = self.mount(&before.0, &format!("lowerdir={}:{}", self.lowerdir(), empty.0.display()));
        let merged = format!("lowerdir={}:{}", upper.display(), self.lowerdir());
        let _after = self.mount(&after.0, &merged);

        let native = overlay::changes(&upper, &self.lowers, Trusted).unwrap();
        let walked = tree::changes(Some(&before.0), &after.0).unwrap();
        let lines = |changes: &[storage_driver::Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines(&native), lines(&walked), "native changes (left) are not those of the walk (right)");

        let (mut a, mut b) = (Vec::new(), Vec::new());
        overlay::diff(&upper, &self.lowers, Trusted, &mut a).unwrap();
        tree::diff(Some(&before.0), &after.0, &mut b).unwrap();
        assert!(a == b, "native diff and walk differ:\n{}\n{}", listing(&a), listing(&b));

        // Applied to a copy of the lower view, and to a fresh upper directory, it gives the upper view.
        let removed = before.copy(self.dir.path(), "removed");
        lay(&a, &removed);
        removed.assert_like(&after);

        let fresh = Tree::new(self.dir.path(), "fresh");
        let options =
            ApplyOptions { whiteouts: Whiteouts::Overlay(Trusted), lowers: self.lowers.clone(), ..Default::default() };
        apply(&fresh.0, &mut a.as_slice(), &options).unwrap();
        let shown = Tree::new(self.dir.path(), "shown");
        let _shown = self.mount(&shown.0, &format!("lowerdir={}:{}", fresh.0.display(), self.lowerdir()));
        shown.assert_like(&after);
        assert!(
            overlay::changes(&fresh.0, &self.lowers, Trusted).unwrap() == native,
            "the applied upper directory shows other changes"
        );
        lines(&native)
    }
}

pub fn listing(tar: &[u8]) -> String {
    let mut child = std::process::Command::new("tar")
        .args(["-tvf", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let tar = tar.to_vec();
    let feeder = std::thread::spawn(move || input.write_all(&tar));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn base(tree: &Tree) {
    tree.file("etc/passwd", "root").file("etc/group", "root").file("etc/deep/er/file", "x");
    tree.file("usr/bin/a", vec![1; 5000]).link("usr/bin/b", "usr/bin/a").symlink("bin", "usr/bin");
    tree.file("dir/one", "1").file("dir/two", "2").file("dir/sub/three", "3").dir("empty");
    tree.mode("dir", 0o2750).owner("dir", 5, 6).xattr("dir", "user.mark", "dir");
    tree.mtime("etc/passwd", 1000, 7).mtime("dir", 1000, 8).mtime("usr/bin/a", 1000, 9);
}

#[test]
fn privileged_nothing_changed() {
    let mut overlay = Overlay::new();
    assert!(overlay.layer(base).check(|_| {}).is_empty());
}

/// Enough for several threads, with names of one inode in directories that different ones look at.
#[test]
fn privileged_changes_in_many_directories() {
    let many = |tree: &Tree| {
        for number in 0..1_200 {
            let dir = format!("{}/d{}", number % 3, number % 24);
            tree.file(&format!("{dir}/f{number}"), format!("{number}"));
        }
        tree.link("2/d2/link", "0/d0/f0").link("1/d1/link", "0/d0/f0").link("1/d4/other", "2/d5/f5");
    };
    let mut overlay = Overlay::new();
    let found = overlay.layer(many).check(|tree| {
        for number in (0..1_200).filter(|number| number % 3 > 0) {
            let name = format!("{}/d{}/f{number}", number % 3, number % 24);
            match number % 4 {
                0 => tree.remove(&name),
                1 => tree.file(&name, "other"),
                2 => tree.file(&format!("{name}.new"), "new"),
                _ => tree.mode(&name, 0o600),
            };
        }
        tree.mode("0/d0/f0", 0o640).link("2/d8/link", "1/d4/other");
    });
    let count = |kind: &str| found.iter().filter(|line| line.starts_with(kind)).count();
    // 200 files of each kind, one more that has several names, and a new name.
    assert_eq!(count("D "), 200);
    assert_eq!(count("A "), 201);
    let files = |line: &&String| line.starts_with("C ") && line.contains("/f");
    assert_eq!(found.iter().filter(files).count(), 401);
    assert!(found.contains(&"A /2/d8/link".to_owned()));
}

#[test]
fn privileged_the_usual_changes() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        tree.file("new/file", "new").file("etc/passwd", "toor").remove("etc/group").mode("dir/one", 0o600);
        tree.remove("empty").symlink("empty", "etc").fifo("fifo").node("null", FileType::CharacterDevice, 1, 3);
    });
    let expected = [
        "C /dir/one",
        "C /empty",
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "A /fifo",
        "A /new",
        "A /new/file",
        "A /null",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn privileged_an_edit_that_restores_size_and_mtime() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        tree.file("etc/passwd", "toor").mtime("etc/passwd", 1000, 7);
    });
    assert_eq!(changes, ["C /etc/passwd"]);
}

#[test]
fn privileged_copied_up_but_not_changed() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        let mode = fs::metadata(tree.at("etc/passwd")).unwrap().permissions();
        fs::set_permissions(tree.at("etc/passwd"), mode).unwrap();
        tree.mode("dir", 0o2750);
    });
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn privileged_a_directory_made_anew_shows_nothing_of_the_old_one() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        tree.remove("dir").dir("dir").file("dir/one", "1").file("dir/sub/four", "4");
    });
    assert!(changes.contains(&"D /dir/two".to_owned()) && changes.contains(&"D /dir/sub/three".to_owned()));
}

#[test]
fn privileged_kinds_change_both_ways() {
    let mut overlay = Overlay::new();
    overlay.layer(base).check(|tree| {
        tree.remove("dir").file("dir", "now a file").remove("etc/passwd").file("etc/passwd/inside", "x");
        tree.remove("bin").file("bin/sh", "x").remove("empty").symlink("empty", "/etc");
    });
}

#[test]
fn privileged_several_layers_with_whiteouts_of_their_own() {
    let mut overlay = Overlay::new();
    overlay.layer(base).layer(|tree| {
        tree.remove("dir").remove("etc/passwd").file("usr/lib/x", "x");
    });
    overlay.layer(|tree| {
        tree.file("dir/one", "again").remove("usr/lib").file("etc/passwd", "third");
    });
    let changes = overlay.check(|tree| {
        tree.file("dir/two", "2").remove("etc/passwd").file("usr/lib/x", "y").remove("etc/deep");
    });
    assert!(!changes.iter().any(|line| line.contains("sub")), "what an older layer deleted came up: {changes:?}");
}

#[test]
fn privileged_made_and_deleted_again_leaves_no_trace() {
    let mut overlay = Overlay::new();
    overlay.layer(base).layer(|tree| {
        tree.remove("dir");
    });
    let changes = overlay.check(|tree| {
        let times = fs::metadata(tree.at("etc")).unwrap().modified().unwrap();
        tree.file("etc/temp", "x").remove("etc/temp");
        fs::File::open(tree.at("etc")).unwrap().set_modified(times).unwrap();
    });
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn privileged_a_new_link_to_a_lower_file() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        tree.link("etc/passwd.link", "etc/passwd");
    });
    assert_eq!(changes, ["C /etc", "C /etc/passwd", "A /etc/passwd.link"]);
}

#[test]
fn privileged_a_third_link_to_a_linked_lower_file() {
    let mut overlay = Overlay::new();
    overlay.layer(base).check(|tree| {
        tree.link("usr/bin/c", "usr/bin/a");
    });
}

#[test]
fn privileged_one_name_of_a_linked_file_is_written() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        fs::OpenOptions::new().append(true).open(tree.at("usr/bin/a")).unwrap().write_all(b"more").unwrap();
    });
    assert_eq!(changes, ["C /usr/bin/a"]);
}

#[test]
fn privileged_one_name_of_a_linked_file_is_copied_up_unchanged() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        fs::set_permissions(tree.at("usr/bin/a"), fs::Permissions::from_mode(0o644)).unwrap();
    });
    assert_eq!(changes, ["C /usr/bin/a"], "its link to b is broken");
}

#[test]
fn privileged_both_names_of_a_linked_file_are_copied_up_unchanged() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        for name in ["usr/bin/a", "usr/bin/b"] {
            fs::set_permissions(tree.at(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
    });
    assert_eq!(changes, ["C /usr/bin/b"]);
}

#[test]
fn privileged_one_name_is_deleted_and_the_other_copied_up_unchanged() {
    let mut overlay = Overlay::new();
    overlay.layer(base).check(|tree| {
        tree.remove("usr/bin/b");
        fs::set_permissions(tree.at("usr/bin/a"), fs::Permissions::from_mode(0o644)).unwrap();
    });
}

#[test]
fn privileged_attributes_of_directories() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        tree.owner("etc/deep", 1, 2).xattr("dir", "user.mark", "other").mode("empty", 0o1777).mtime("usr", 1, 1);
        tree.file("dir/sub/new", "x");
    });
    let expected = ["C /dir", "C /dir/sub", "A /dir/sub/new", "C /empty", "C /etc/deep", "C /usr"];
    assert_eq!(changes, expected);
}

#[test]
fn privileged_the_mode_of_the_root() {
    let mut overlay = Overlay::new();
    let changes = overlay.layer(base).check(|tree| {
        fs::set_permissions(&tree.0, fs::Permissions::from_mode(0o700)).unwrap();
    });
    assert_eq!(changes, ["C /"]);
}

#[test]
fn privileged_redirects_and_metacopies_are_refused() {
    for (options, path) in [("redirect_dir=on", "dir"), ("metacopy=on,redirect_dir=on", "etc/passwd")] {
        let mut overlay = Overlay::new();
        overlay.layer(base);
        let [upper, work, view] = ["u", "w", "v"].map(|name| Tree::new(overlay.dir.path(), name));
        let lowerdir = overlay.lowerdir();
        let options =
            format!("lowerdir={lowerdir},upperdir={},workdir={},{options}", upper.0.display(), work.0.display());
        let mounted = overlay.mount(&view.0, &options);
        if path == "dir" {
            fs::rename(view.at("dir"), view.at("moved")).unwrap();
        } else {
            view.mode(path, 0o600);
        }
        drop(mounted);
        let error = overlay::changes(&upper.0, &overlay.lowers, Trusted).unwrap_err();
        assert!(matches!(error, Error::OverlayFeature { .. }), "{error}");
    }
}

#[test]
fn privileged_the_cost_follows_the_upper() {
    let mut overlay = Overlay::new();
    overlay.layer(|tree| {
        for n in 0..500 {
            tree.file(&format!("many/{n}"), "x");
        }
        tree.file("etc/x", "x");
    });
    let upper = overlay.upper("upper", |tree| {
        tree.file("etc/y", "y").file("many/7", "y");
    });
    let mut out = Vec::new();
    let stats = overlay::diff(&upper, &overlay.lowers, Trusted, &mut out).unwrap();
    assert!(stats.examined < 20, "{} paths were looked at", stats.examined);
    let usage = overlay::usage(&upper, &overlay.lowers, Trusted).unwrap();
    assert_eq!((usage.copied_up.files, usage.inodes), (1, 5));
}

#[test]
fn privileged_xattr_whiteouts_of_an_upper_are_deletions() {
    let mut overlay = Overlay::new();
    overlay.layer(base);
    let upper = Tree::new(overlay.dir.path(), "upper");
    upper.dir("etc").file("etc/passwd", "").xattr("etc", "trusted.overlay.opaque", "x");
    upper.xattr("etc/passwd", "trusted.overlay.whiteout", "y");
    let changes = overlay::changes(&upper.0, &overlay.lowers, Trusted).unwrap();
    assert!(changes.iter().any(|change| change.to_string() == "D /etc/passwd"), "{changes:?}");
}

mod random {
    use proptest::{collection::vec, prelude::*, test_runner::Config};

    use super::Overlay;
    use crate::property::{op, run};

    proptest! {
        #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

        #[test]
        fn privileged_random_layers(layers in vec(vec(op(), 0..20), 1..4), change in vec(op(), 0..25)) {
            let mut overlay = Overlay::new();
            for layer in &layers {
                overlay.layer(|tree| run(tree, layer));
            }
            overlay.check(|tree| run(tree, &change));
        }
    }
}
