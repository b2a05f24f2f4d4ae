//! Copies of trees: nothing lost, nothing followed, nothing outside touched.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use proptest::{collection::vec, prelude::*, test_runner::Config};
use rustix::fs::FileType;
use storage_driver::Support;
use storage_layer::{
    Error,
    copy::{self, CopyOptions, CopyStats, CopyStrategy, Existing, Keep},
};

use crate::{property, tree_maker::Tree};

fn copied(from: &Tree, to: &Tree, options: &CopyOptions<'_>) -> CopyStats {
    copy::tree(&from.0, &to.0, options).unwrap()
}

/// Everything that a tree can hold; needs root.
fn everything(tree: &Tree) {
    tree.file("bin/tool", [7; 100_000]).owner("bin/tool", 12, 34).mode("bin/tool", 0o6755);
    // cap_net_raw+ep, version 2 (capabilities(7)).
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    tree.xattr("bin/tool", "security.capability", capability);
    tree.file("d/a", "one").link("d/b", "d/a").dir("e/f").link("e/f/c", "d/a").file("empty", "");
    tree.symlink("d/link", "../../outside").xattr("d/link", "trusted.x", "of a symlink").mtime("d/link", 7, 8);
    tree.link("d/link2", "d/link").symlink("d/dangling", "/etc/passwd");
    tree.node("null", FileType::CharacterDevice, 1, 3).node("disk", FileType::BlockDevice, 7, 300);
    tree.fifo("fifo").node("socket", FileType::Socket, 0, 0).node("whiteout", FileType::CharacterDevice, 0, 0);
    tree.xattr("fifo", "trusted.y", "of a fifo").owner("socket", 5, 6).mtime("null", -5, 999_999_999);
    tree.file("x\u{fc}\n", "odd name").file(&"n".repeat(255), "long name").xattr("d/a", "user.empty", "");
    let sparse = fs::File::create(tree.at("sparse")).unwrap();
    sparse.set_len(50 << 20).unwrap();
    sparse.write_all_at(&[1; 9000], 10 << 20).unwrap();
    tree.dir("closed/in").file("closed/in/f", "x").dir("sticky").mode("sticky", 0o1777).mode("closed", 0);
    let status = std::process::Command::new("setfacl")
        .args(["-m", "u:77:r,d:u:78:rwx,d:g::r"])
        .arg(tree.at("sticky"))
        .status()
        .expect("install acl");
    assert!(status.success());
    tree.file("sticky/inherited", "acl");
    tree.mtime("bin/tool", 1_000_000_000, 123_456_789).mtime("e/f", 1, 2).mtime("e", 3, 4).mtime("closed", 5, 6);
    tree.owner("e", 1000, 1001).mode("", 0o2750).xattr("", "user.root", "r").mtime("", 9, 10);
}

#[test]
fn privileged_everything_survives() {
    let temp = tempfile::tempdir().unwrap();
    let from = Tree::new(temp.path(), "from");
    everything(&from);
    for strategy in [CopyStrategy::Copy, CopyStrategy::CopyFileRange] {
        for threads in [1, 4] {
            let to = Tree::new(temp.path(), &format!("{strategy}-{threads}"));
            let stats = copied(&from, &to, &CopyOptions { strategy, threads: Some(threads), ..CopyOptions::default() });
            let differences = from.manifest().compare(&to.manifest(), &storage_layer::Rules::default());
            assert!(differences.is_empty(), "{strategy}, {threads} threads: {differences:#?}");
            assert_eq!((stats.links, stats.sparse, stats.files), (3, 1, 8));
            assert_eq!(to.at("sparse").metadata().unwrap().blocks(), from.at("sparse").metadata().unwrap().blocks());
            assert!(stats.allocated.get() < 1 << 20, "{stats:?}");
            assert_eq!(stats.skipped, []);
        }
    }
}

#[test]
fn copying_does_not_change_what_is_copied() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    from.file("f", "content").mtime("f", 100, 0);
    copied(&from, &to, &CopyOptions::default());
    assert_eq!(from.at("f").metadata().unwrap().atime(), 100);
    assert_eq!(to.at("f").metadata().unwrap().atime(), 100);
}

#[test]
fn privileged_owner_and_mode_can_be_chosen() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    from.file("d/f", "x").owner("d/f", 5, 6).mode("d/f", 0o4711).symlink("d/l", "f");
    let options = CopyOptions { owner: Some((7, 8)), mode: Some(&|_, _| 0o640), ..CopyOptions::default() };
    copied(&from, &to, &options);
    for path in ["d", "d/f", "d/l", ""] {
        let found = fs::symlink_metadata(to.at(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (7, 8), "{path}");
        if !found.is_symlink() {
            assert_eq!(found.mode() & 0o7777, 0o640, "{path}");
        }
    }
}

#[test]
fn merging_keeps_directories_and_replaces_the_rest() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    let outside = Tree::new(temp.path(), "outside");
    outside.file("secret", "untouched");
    from.file("d/a", "new").file("d/b", "new").link("d/c", "d/b").symlink("d/s", "new").file("e/x", "new");
    to.file("d/a", "old").link("d/other", "d/a").file("d/c", "old").file("d/s", "old").mode("d", 0o711).mode("", 0o700);
    to.symlink("d/b", "../../outside/secret");
    let refused = copy::tree(&from.0, &to.0, &CopyOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("File exists"), "{refused}");
    let options = CopyOptions { existing: Existing::Merge, ..CopyOptions::default() };
    copied(&from, &to, &options);
    for path in ["d/a", "d/b", "d/c", "e/x"] {
        assert_eq!(fs::read_to_string(to.at(path)).unwrap(), "new", "{path}");
    }
    assert_eq!(fs::read_to_string(to.at("d/other")).unwrap(), "old");
    assert_eq!(fs::read_to_string(outside.at("secret")).unwrap(), "untouched");
    assert_eq!(to.at("d").metadata().unwrap().mode() & 0o777, 0o711);
    assert_eq!(to.0.metadata().unwrap().mode() & 0o777, 0o700);
    assert_eq!(to.at("d/b").metadata().unwrap().ino(), to.at("d/c").metadata().unwrap().ino());
}

#[test]
fn merging_never_goes_through_a_symlink_nor_swaps_directories_and_files() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    let outside = Tree::new(temp.path(), "outside");
    from.file("d/a", "new");
    let options = CopyOptions { existing: Existing::Merge, ..CopyOptions::default() };
    to.symlink("d", "../outside");
    let refused = copy::tree(&from.0, &to.0, &options).unwrap_err();
    assert!(refused.to_string().contains("to/d: Not a directory"), "{refused}");
    assert!(!outside.at("a").exists());
    to.remove("d").dir("d/a");
    let refused = copy::tree(&from.0, &to.0, &options).unwrap_err();
    assert!(refused.to_string().contains("to/d/a: Is a directory"), "{refused}");
}

#[test]
fn a_filter_leaves_out_and_looks_within() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    from.file("keep/a", "").file("no/b", "").file("deep/er/yes", "").file("deep/er/not", "").dir("deep/none");
    from.file("deep/whole/x/y", "").mode("deep", 0o710).mtime("deep", 5, 5);
    let filter = |path: &Path, _: bool| match path.to_str().unwrap() {
        "no" | "deep/er/not" => Keep::No,
        "deep" | "deep/er" | "deep/none" => Keep::Within,
        _ => Keep::Yes,
    };
    let stats = copied(&from, &to, &CopyOptions { filter: Some(&filter), ..CopyOptions::default() });
    assert_eq!((stats.files, stats.directories), (3, 5));
    for (path, there) in [("keep/a", true), ("no", false), ("deep/er/yes", true), ("deep/er/not", false)] {
        assert_eq!(to.at(path).exists(), there, "{path}");
    }
    assert!(to.at("deep/whole/x/y").exists() && !to.at("deep/none").exists());
    let deep = to.at("deep").metadata().unwrap();
    assert_eq!((deep.mode() & 0o777, deep.mtime()), (0o710, 5));
}

#[test]
fn a_copy_into_itself_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let from = Tree::new(temp.path(), "from");
    from.file("a", "x").dir("sub/to");
    let refused = copy::tree(&from.0, &from.at("sub/to"), &CopyOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("would contain itself"), "{refused}");
}

#[test]
fn a_single_file_is_copied_and_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let tree = Tree::new(temp.path(), "t");
    tree.file("a", "one").mode("a", 0o751).symlink("l", "a").dir("d");
    copy::file(&tree.at("a"), &tree.at("b"), &CopyOptions::default()).unwrap();
    assert_eq!(tree.at("b").metadata().unwrap().mode() & 0o777, 0o751);
    assert!(copy::file(&tree.at("l"), &tree.at("b"), &CopyOptions::default()).is_err());
    let merge = CopyOptions { existing: Existing::Merge, ..CopyOptions::default() };
    copy::file(&tree.at("l"), &tree.at("b"), &merge).unwrap();
    assert_eq!(fs::read_link(tree.at("b")).unwrap(), Path::new("a"));
    let refused = copy::file(&tree.at("d"), &tree.at("x"), &merge).unwrap_err();
    assert!(refused.to_string().contains("t/d: Is a directory"), "{refused}");
    let refused = copy::file(&tree.at("none"), &tree.at("x"), &merge).unwrap_err();
    assert!(refused.to_string().contains("t/none: No such file"), "{refused}");
}

#[test]
fn trees_deeper_than_any_path_are_copied() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    let name = "d".repeat(200);
    let mut dir = fs::File::open(&from.0).unwrap();
    for _ in 0..100 {
        rustix::fs::mkdirat(&dir, &name, rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, &name, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap().into();
    }
    rustix::fs::mknodat(&dir, "end", FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let stats = copied(&from, &to, &CopyOptions::default());
    assert_eq!((stats.directories, stats.others), (100, 1));
}

#[test]
fn a_strategy_that_cannot_work_is_named_with_another() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
    from.file("f", "x");
    let options = CopyOptions { strategy: CopyStrategy::Reflink, ..CopyOptions::default() };
    let works = copy::probe(CopyStrategy::Reflink, &to.0).unwrap();
    assert_eq!(copy::probe(CopyStrategy::Copy, &to.0).unwrap(), Support::Yes);
    match copy::tree(&from.0, &to.0, &options) {
        Ok(_) => assert_eq!(works, Support::Yes),
        Err(error @ Error::Strategy { .. }) => {
            assert!(!works.is_yes());
            assert!(error.to_string().contains("from/f by reflink"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(64) })]

    #[test]
    fn a_copy_of_any_tree_is_like_it(ops in vec(property::op(), 0..40), threads in 1_usize..4) {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (Tree::new(temp.path(), "from"), Tree::new(temp.path(), "to"));
        for op in &ops {
            _ = op.run(&from);
        }
        copied(&from, &to, &CopyOptions { threads: Some(threads), ..CopyOptions::default() });
        let differences = from.manifest().compare(&to.manifest(), &storage_layer::Rules::default());
        prop_assert!(differences.is_empty(), "{differences:#?}");
    }
}
