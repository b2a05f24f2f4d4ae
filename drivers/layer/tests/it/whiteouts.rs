//! Whiteouts hide what was there before, wherever in the tar they stand.

use std::fs;

use crate::{
    tar_maker::Tar,
    tree_maker::{Tree, lay},
};

fn lower(tree: &Tree) {
    tree.file("d/old", "old").file("d/sub/old", "old").file("d/both", "old").file("f", "old").dir("e");
    tree.mode("d", 0o700).mtime("d/sub", 5, 0).mtime("d", 5, 0).mtime("f", 5, 0);
}

type Part = fn(Tar) -> Tar;

/// Applies the parts in every order and checks that the result is always the same.
#[track_caller]
fn in_every_order(parts: &[Part]) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let base = Tree::new(dir.path(), "base");
    lower(&base);
    let mut first: Option<Tree> = None;
    for (round, order) in permutations(parts.len()).into_iter().enumerate() {
        let tree = base.copy(dir.path(), &format!("round{round}"));
        let tar = order.iter().fold(Tar::default(), |tar, &part| parts[part](tar)).end();
        lay(&tar, &tree);
        match &first {
            Some(first) => tree.assert_like(first),
            None => first = Some(tree),
        }
    }
    // The caller looks at the tree, so it must outlive this function.
    let _ = dir.keep();
    first.unwrap()
}

pub fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |at| insert(order, at))).collect()
}

#[track_caller]
fn check(tree: &Tree, there: &[&str], gone: &[&str]) {
    for path in there {
        assert!(tree.at(path).symlink_metadata().is_ok(), "{path} is gone");
    }
    for path in gone {
        assert!(tree.at(path).symlink_metadata().is_err(), "{path} is still there");
    }
    fs::remove_dir_all(tree.0.parent().unwrap()).unwrap();
}

#[test]
fn an_opaque_marker_before_between_and_after() {
    let tree = in_every_order(&[
        |tar| tar.file("d/.wh..wh..opq", b""),
        |tar| tar.file("d/new", b"new"),
        |tar| tar.file("d/both", b"new"),
        |tar| tar.file("d/sub/new", b"new"),
    ]);
    assert_eq!(fs::read(tree.at("d/both")).unwrap(), b"new");
    check(&tree, &["d/new", "d/sub/new"], &["d/old", "d/sub/old"]);
}

#[test]
fn a_directory_that_is_deleted_and_made_anew() {
    let tree = in_every_order(&[
        |tar| tar.file(".wh.d", b""),
        |tar| tar.dir("d/"),
        |tar| tar.file("d/new", b"new"),
        |tar| tar.dir("d/sub"),
    ]);
    check(&tree, &["d/new", "d/sub"], &["d/old", "d/sub/old", "d/both"]);
}

#[test]
fn a_directory_that_is_deleted_and_only_implied_anew() {
    let tree = in_every_order(&[|tar| tar.file(".wh.d", b""), |tar| tar.file("d/sub/deep/new", b"new")]);
    check(&tree, &["d/sub/deep/new"], &["d/old", "d/sub/old"]);
}

#[test]
fn whiteouts_beneath_whiteouts_and_of_nothing() {
    let tree = in_every_order(&[
        |tar| tar.file(".wh.d", b""),
        |tar| tar.file("d/.wh.old", b""),
        |tar| tar.file("d/sub/.wh.never", b""),
        |tar| tar.file("no/where/.wh.x", b""),
        |tar| tar.file("f/.wh.x", b""),
    ]);
    check(&tree, &["f", "e"], &["d", "no"]);
}

#[test]
fn a_file_and_its_own_whiteout() {
    let tree = in_every_order(&[|tar| tar.file(".wh.f", b""), |tar| tar.file("f", b"new")]);
    assert_eq!(fs::read(tree.at("f")).unwrap(), b"new");
    check(&tree, &["f"], &[]);
}

#[test]
fn what_is_reached_through_a_symlink_is_known_by_its_real_name() {
    let tree = in_every_order(&[|tar| tar.file("e/.wh.x", b""), |tar| tar.file("e/x", b"new")]);
    check(&tree, &["e/x"], &[]);
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    tree.dir("usr/lib").symlink("lib", "usr/lib");
    lay(
        &Tar::default().file("lib/x", b"new").file("usr/lib/.wh.x", b"").file("usr/lib/.wh..wh..opq", b"").end(),
        &tree,
    );
    assert!(tree.at("usr/lib/x").exists());
}

#[test]
fn aufs_bookkeeping_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    lay(&Tar::default().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", b"").file(".wh..wh.aufs", b"").end(), &tree);
    assert_eq!(fs::read_dir(&tree.0).unwrap().count(), 0);
}

#[test]
fn directories_that_the_tar_does_not_name_keep_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let base = Tree::new(dir.path(), "base");
    lower(&base);
    lay(&Tar::default().file("d/new", b"").file("d/sub/.wh.old", b"").end(), &base);
    let manifest = base.manifest();
    assert_eq!(manifest.entries[&b"d"[..]].mtime, (5, 0));
    assert_eq!(manifest.entries[&b"d/sub"[..]].mtime, (5, 0));
    assert_eq!(manifest.entries[&b"d"[..]].mode, 0o700);
}
