//! Random trees and random changes: the diff, laid over the lower tree, always gives the upper one.

use std::{fs, os::unix::fs::FileExt};

use proptest::{collection::vec, prelude::*, test_runner::Config};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};

use crate::tree_maker::{Tree, diff, lay};

/// A few names, so that operations meet each other.
const NAMES: [&str; 10] = ["a", "b", "a.b", "d", "d/a", "d/b", "d/e", "d/e/a", "f/g/h", "ü"];

/// Something that happens to a tree; it may fail, as it would for a program.
#[derive(Debug, Clone)]
pub enum Op {
    Write(usize, u8, u16),
    Append(usize, u8),
    Sparse(usize, u32),
    Directory(usize),
    Symlink(usize, usize),
    Link(usize, usize),
    Rename(usize, usize),
    Remove(usize),
    Mode(usize, u16),
    Time(usize, i32, u32),
    Xattr(usize, u8),
    Fifo(usize),
}

pub fn op() -> impl Strategy<Value = Op> {
    let name = || 0..NAMES.len();
    // Often the same bytes and times, so that equal files and near misses are common.
    let byte = || 0_u8..3;
    let size = prop_oneof![Just(4_u16), Just(512), Just(5000), any::<u16>()];
    prop_oneof![
        4 => (name(), byte(), size).prop_map(|(n, b, s)| Op::Write(n, b, s)),
        1 => (name(), byte()).prop_map(|(n, b)| Op::Append(n, b)),
        1 => (name(), 0_u32..300_000).prop_map(|(n, s)| Op::Sparse(n, s)),
        2 => name().prop_map(Op::Directory),
        1 => (name(), name()).prop_map(|(n, t)| Op::Symlink(n, t)),
        2 => (name(), name()).prop_map(|(n, t)| Op::Link(n, t)),
        2 => (name(), name()).prop_map(|(n, t)| Op::Rename(n, t)),
        2 => name().prop_map(Op::Remove),
        1 => (name(), 0o700_u16..0o1000).prop_map(|(n, m)| Op::Mode(n, m)),
        2 => (name(), -2_i32..3, 0_u32..3).prop_map(|(n, s, ns)| Op::Time(n, s, ns)),
        1 => (name(), byte()).prop_map(|(n, b)| Op::Xattr(n, b)),
        1 => name().prop_map(Op::Fifo),
    ]
}

impl Op {
    pub fn run(&self, tree: &Tree) -> std::io::Result<()> {
        let at = |name: usize| tree.at(NAMES[name]);
        match *self {
            Self::Write(n, byte, size) => {
                if let Some(parent) = at(n).parent() {
                    fs::create_dir_all(parent)?;
                }
                // A fifo would wait for a reader.
                if fs::symlink_metadata(at(n)).is_ok_and(|found| !found.is_file()) {
                    return Ok(());
                }
                fs::write(at(n), vec![byte; size.into()])
            }
            Self::Append(n, byte) | Self::Xattr(n, byte) if !fs::symlink_metadata(at(n))?.is_file() => {
                let _ = byte;
                Ok(())
            }
            Self::Append(n, byte) => {
                let file = fs::OpenOptions::new().write(true).open(at(n))?;
                let end = file.metadata()?.len();
                file.write_all_at(&[byte], end)
            }
            Self::Sparse(n, size) => fs::File::create_new(at(n))?.write_all_at(b"end", size.into()),
            Self::Directory(n) => fs::create_dir_all(at(n)),
            Self::Symlink(n, target) => std::os::unix::fs::symlink(NAMES[target], at(n)),
            Self::Link(n, target) => fs::hard_link(at(target), at(n)),
            Self::Rename(n, target) => fs::rename(at(n), at(target)),
            Self::Remove(n) => match fs::symlink_metadata(at(n))?.is_dir() {
                true => fs::remove_dir_all(at(n)),
                false => fs::remove_file(at(n)),
            },
            Self::Mode(n, mode) => {
                use std::os::unix::fs::PermissionsExt;
                if fs::symlink_metadata(at(n))?.is_symlink() {
                    return Ok(());
                }
                fs::set_permissions(at(n), fs::Permissions::from_mode(mode.into()))
            }
            Self::Time(n, seconds, nanos) => {
                let time = Timespec { tv_sec: seconds.into(), tv_nsec: nanos.into() };
                let times = Timestamps { last_access: time, last_modification: time };
                Ok(utimensat(CWD, at(n), &times, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            Self::Xattr(n, byte) => Ok(lsetxattr(at(n), "user.x", &[byte], XattrFlags::empty())?),
            Self::Fifo(n) => {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                Ok(rustix::fs::mknodat(CWD, at(n), rustix::fs::FileType::Fifo, mode, 0)?)
            }
        }
    }
}

pub fn run(tree: &Tree, ops: &[Op]) {
    for op in ops {
        let _ = op.run(tree);
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_tree_survives_its_tar(ops in vec(op(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (tree, other) = (Tree::new(dir.path(), "tree"), Tree::new(dir.path(), "other"));
        run(&tree, &ops);
        let (tar, stats) = diff(None, &tree);
        let applied = lay(&tar, &other);
        prop_assert_eq!(applied.entries, stats.entries);
        other.assert_like(&tree);
        prop_assert!(diff(None, &other).0 == tar, "the same tree gives other bytes");
    }

    #[test]
    fn a_change_survives_its_tar(base in vec(op(), 0..30), change in vec(op(), 0..30)) {
        let dir = tempfile::tempdir().unwrap();
        let lower = Tree::new(dir.path(), "lower");
        run(&lower, &base);
        let upper = lower.copy(dir.path(), "upper");
        run(&upper, &change);
        let (tar, _) = diff(Some(&lower), &upper);
        let laid = lower.copy(dir.path(), "laid");
        lay(&tar, &laid);
        laid.assert_like(&upper);
        let left = storage_layer::tree::changes(Some(&laid.0), &upper.0).unwrap();
        prop_assert!(left.is_empty(), "left over: {left:?}");
    }
}
