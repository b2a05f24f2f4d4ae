//! What counts as a change between two plain trees.

use std::fs;

use storage_layer::tree;

use crate::tree_maker::{Tree, diff, lay};

/// Makes two equal trees, changes the second one, checks that the diff turns the first into the second, and gives
/// the changes as `docker diff` prints them.
#[track_caller]
fn changes(make: impl FnOnce(&Tree), change: impl FnOnce(&Tree)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let lower = Tree::new(dir.path(), "lower");
    make(&lower);
    let upper = lower.copy(dir.path(), "upper");
    change(&upper);
    let changes = tree::changes(Some(&lower.0), &upper.0).unwrap();
    let (tar, _) = diff(Some(&lower), &upper);
    let laid = lower.copy(dir.path(), "laid");
    lay(&tar, &laid);
    laid.assert_like(&upper);
    changes.iter().map(ToString::to_string).collect()
}

fn two_files(tree: &Tree) {
    tree.file("d/a", "same").file("d/b", "same").mtime("d/a", 1, 0).mtime("d/b", 1, 0).mtime("d", 1, 0);
}

#[test]
fn equal_trees_have_none() {
    assert!(changes(two_files, |_| {}).is_empty());
}

#[test]
fn an_edit_of_the_same_size_within_the_same_second() {
    let found = changes(two_files, |tree| {
        tree.file("d/a", "SAME").mtime("d/a", 1, 0);
    });
    assert_eq!(found, ["C /d/a"]);
}

#[test]
fn a_change_of_a_nanosecond() {
    let found = changes(two_files, |tree| {
        tree.mtime("d/a", 1, 1);
    });
    assert_eq!(found, ["C /d/a"]);
}

#[test]
fn a_deleted_directory_is_one_deletion() {
    let found = changes(two_files, |tree| {
        tree.remove("d");
    });
    assert_eq!(found, ["D /d"]);
}

#[test]
fn a_symlink_that_points_elsewhere_at_the_same_time() {
    let make = |tree: &Tree| {
        tree.symlink("link", "one").mtime("link", 1, 0);
    };
    let found = changes(make, |tree| {
        tree.remove("link").symlink("link", "two").mtime("link", 1, 0);
    });
    assert_eq!(found, ["C /link"]);
}

#[test]
fn an_xattr_alone() {
    let found = changes(two_files, |tree| {
        tree.xattr("d/a", "user.x", "1").mtime("d/a", 1, 0);
    });
    assert_eq!(found, ["C /d/a"]);
}

#[test]
fn sorted_as_paths_are() {
    let found = changes(
        |_| {},
        |tree| {
            tree.file("a.b", "").file("a/z", "").file("a-b", "");
        },
    );
    assert_eq!(found, ["A /a", "A /a/z", "A /a-b", "A /a.b"]);
}

#[test]
fn two_files_become_one() {
    let found = changes(two_files, |tree| {
        tree.remove("d/b").link("d/b", "d/a").mtime("d", 1, 0);
    });
    assert_eq!(found, ["C /d/a", "C /d/b"]);
}

fn linked(tree: &Tree) {
    tree.file("a", "same").link("b", "a").link("c", "a").mtime("a", 1, 0);
}

#[test]
fn a_link_that_becomes_a_file_of_its_own() {
    let found = changes(linked, |tree| {
        tree.remove("b").file("b", "same").mtime("b", 1, 0);
    });
    assert_eq!(found, ["C /b"], "a and c are still one file");
}

#[test]
fn a_link_that_is_deleted_changes_nothing_for_the_others() {
    let found = changes(linked, |tree| {
        tree.remove("b");
    });
    assert_eq!(found, ["D /b"]);
}

#[test]
fn a_further_link_lists_the_whole_group() {
    let found = changes(linked, |tree| {
        tree.link("d", "a");
    });
    assert_eq!(found, ["C /a", "C /b", "C /c", "A /d"]);
}

#[test]
fn one_name_of_a_group_that_is_replaced() {
    let found = changes(linked, |tree| {
        tree.remove("a").file("a", "new");
    });
    assert_eq!(found, ["C /a"]);
}

#[test]
fn links_that_change_partners() {
    let make = |tree: &Tree| {
        tree.file("a", "same").link("b", "a").file("c", "same").link("d", "c").mtime("a", 1, 0).mtime("c", 1, 0);
    };
    changes(make, |tree| {
        tree.remove("b").link("b", "c").remove("d").link("d", "a");
    });
}

#[test]
fn the_same_inodes_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (lower, upper) = (Tree::new(dir.path(), "lower"), Tree::new(dir.path(), "upper"));
    lower.file("a", "x");
    fs::hard_link(lower.at("a"), upper.at("a")).unwrap();
    assert!(tree::changes(Some(&lower.0), &upper.0).unwrap().is_empty());
}

#[test]
fn names_that_would_be_whiteouts_are_left_out_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    tree.file(".wh.x", "").file("d/.wh..wh..opq", "").file("d/.wh.dir/file", "").file("ok", "");
    let (tar, stats) = diff(None, &tree);
    let noted: Vec<_> = stats.skipped.iter().map(|skipped| skipped.path.to_str().unwrap()).collect();
    assert_eq!(noted, [".wh.x", "d/.wh..wh..opq", "d/.wh.dir"]);
    let laid = Tree::new(dir.path(), "laid");
    lay(&tar, &laid);
    assert!(laid.at("ok").exists());
}

#[test]
fn a_socket_is_noted_and_what_it_replaced_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (lower, upper) = (Tree::new(dir.path(), "lower"), Tree::new(dir.path(), "upper"));
    lower.file("s", "x");
    let _socket = std::os::unix::net::UnixListener::bind(upper.at("s")).unwrap();
    let (tar, stats) = diff(Some(&lower), &upper);
    assert_eq!((stats.skipped.len(), stats.entries), (1, 1));
    lay(&tar, &lower);
    assert!(!lower.at("s").exists());
}
