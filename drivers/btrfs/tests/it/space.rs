//! What layers take, may take, and give back.

use std::{fs, io, path::Path};

use storage_driver::{Bytes, CreateOptions, Error, LayerId, MountMode, StorageDriver};
use storage_sys::{
    btrfs::{self, quota},
    mountinfo,
};

use crate::{
    changes::Act,
    support::{Place, id, layer, sealed, tool},
};

const MIB: usize = 1 << 20;

fn random(seed: u8, len: usize) -> Vec<u8> {
    // Nothing compresses here, so any content will do that no other file has.
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed).collect()
}

/// Bytes of data and metadata that the file system uses.
fn used(place: &Path) -> u64 {
    let text = tool(&["filesystem", "usage", "--raw"], place);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Used:")).unwrap();
    line.trim().parse().unwrap()
}

fn counted(place: &Place, layer: &LayerId) -> quota::Counted {
    let open = fs::File::open(place.tree(layer)).unwrap();
    quota::counted(&open, btrfs::info(&open).unwrap().id).unwrap().unwrap()
}

#[test]
fn privileged_removed_layers_give_their_space_back_also_what_is_nested_in_them() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), random(1, MIB)).unwrap());
    btrfs::sync(fs::File::open(place.path()).unwrap()).unwrap();
    let before = used(place.path());
    let top = layer(&driver, "top", Some(&base), |root| {
        fs::write(root.join("g"), random(2, 40 * MIB)).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        btrfs::create(fs::File::open(root.join("d")).unwrap(), "nested".as_ref()).unwrap();
        fs::write(root.join("d/nested/h"), random(3, 40 * MIB)).unwrap();
        btrfs::create(fs::File::open(root.join("d/nested")).unwrap(), "deeper".as_ref()).unwrap();
        btrfs::set_read_only(fs::File::open(root.join("d/nested")).unwrap(), true).unwrap();
    });
    btrfs::sync(fs::File::open(place.path()).unwrap()).unwrap();
    assert!(used(place.path()) >= before + 80 * MIB as u64);
    driver.remove(&top).unwrap();
    driver.wait_for_space().unwrap();
    let after = used(place.path());
    assert!(after < before + MIB as u64, "{before} bytes were used before and {after} are after");
    assert_eq!(fs::read_dir(place.root().join("trash")).unwrap().count(), 0);
}

/// A subvolume's own blocks of metadata, as `btrfs inspect-internal dump-tree` shows them.
struct Blocks {
    /// Leaves and nodes above them.
    all: u64,
    /// What the items of the leaves take that were written since the snapshot.
    filled: u64,
}

impl Blocks {
    fn of(place: &Place, layer: &LayerId) -> Self {
        const HEADER: u64 = 101;
        let info = btrfs::info(fs::File::open(place.tree(layer)).unwrap()).unwrap();
        let id = info.id.to_string();
        let held = mountinfo::holding(place.path()).unwrap().unwrap();
        let text = tool(&["inspect-internal", "dump-tree", "-t", &id], held.source.as_ref());
        let mut found = Self { all: 0, filled: 0 };
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            // `leaf 30916608 items 245 free space 1778 generation 10 owner 257`
            let [kind @ ("leaf" | "node"), .., "free", "space", free, "generation", generation, "owner", owner] =
                words[..]
            else {
                continue;
            };
            if owner != id {
                continue;
            }
            found.all += 1;
            if kind == "leaf" && generation.parse::<u64>().unwrap() > info.origin {
                found.filled += NODE - HEADER - free.parse::<u64>().unwrap();
            }
        }
        found
    }
}

/// Size of a block of metadata, which is mkfs's default.
const NODE: u64 = 16 << 10;

/// With quotas on only to be the oracle: the driver counts without them.
///
/// Data is the quota group's to the byte. Metadata is less where blocks are not full: the tree search tells a block's items and
/// not where it ends, and to look each block up in the extent tree would cost what the whole file system holds. How much less is
/// no matter of tolerance either, since the tool can read the blocks.
#[test]
fn privileged_usage_is_what_quota_groups_call_exclusive_but_for_what_is_free_in_blocks_of_metadata() {
    let place = Place::new();
    tool(&["quota", "enable"], place.path());
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| {
        fs::write(root.join("f"), random(1, 8 * MIB)).unwrap();
        fs::write(root.join("g"), random(2, 8 * MIB)).unwrap();
    });
    let acts: [(&str, usize, Act); 5] = [
        ("nothing", 0, |_| {}),
        ("new", 5 * MIB, |root| fs::write(root.join("new"), random(3, 5 * MIB)).unwrap()),
        ("part", MIB, |root| {
            use std::os::unix::fs::FileExt;
            let file = fs::OpenOptions::new().write(true).open(root.join("f")).unwrap();
            file.write_all_at(&random(4, MIB), 3 * MIB as u64).unwrap();
        }),
        ("cloned", 0, |root| crate::changes::clone(&root.join("f"), &root.join("clone")).unwrap()),
        // Small files are in the metadata.
        ("small", 0, |root| (0..500).for_each(|n| fs::write(root.join(format!("s{n}")), random(5, 900)).unwrap())),
    ];
    for (what, data, act) in acts {
        let id = layer(&driver, what, Some(&base), act);
        let usage = driver.usage(&id).unwrap();
        let blocks = Blocks::of(&place, &id);
        let oracle = counted(&place, &id).exclusive;
        assert_eq!(oracle, data as u64 + blocks.all * NODE, "{what}: what the quota group says");
        let filled = blocks.filled.div_ceil(NODE).max(1);
        assert_eq!(usage.exclusive.get(), data as u64 + filled * NODE, "{what}: what the driver says");
        assert!(usage.exclusive.get() <= oracle, "{what}");
        assert_eq!(usage.copied_up.bytes, Bytes(0));
        driver.remove(&id).unwrap();
    }
}

fn fills_up(place: &Place, options: &[(&str, &str)], mode: quota::Mode) {
    let driver = place.open_with(options);
    assert_eq!(quota::mode(fs::File::open(place.path()).unwrap()).unwrap(), Some(mode));
    assert!(driver.capabilities().size_limit.is_yes());
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), random(1, 32 * MIB)).unwrap());
    let limited = id("limited");
    let size = CreateOptions { size: Some(Bytes(16 << 20)), ..CreateOptions::default() };
    driver.create(&limited, Some(&base), &size).unwrap();
    let open = fs::File::open(place.tree(&limited)).unwrap();
    let number = btrfs::info(&open).unwrap().id;
    assert_eq!(quota::limit_of(&open, number).unwrap(), Some(16 << 20));
    drop(open);
    let mounted = driver.mount(&limited, MountMode::ReadWrite).unwrap();
    // The parent's 32 MiB do not count.
    fs::write(mounted.path().join("fits"), random(2, 8 * MIB)).unwrap();
    let refused = fs::write(mounted.path().join("too-much"), random(3, 32 * MIB)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
    mounted.close().unwrap();
    driver.remove(&limited).unwrap();
    driver.wait_for_space().unwrap();
    assert!(!has_group(place, number), "the quota group of a removed layer is left");
}

fn has_group(place: &Place, subvolume: u64) -> bool {
    let open = fs::File::open(place.path()).unwrap();
    quota::counted(&open, subvolume).unwrap().is_some()
}

/// Where quotas are the driver's own.
#[test]
fn privileged_groups_that_a_killed_process_left_are_removed() {
    let place = Place::new();
    let driver = place.open_with(&[("quota", "on")]);
    let top = layer(&driver, "top", None, |root| fs::write(root.join("f"), random(1, MIB)).unwrap());
    let number = btrfs::info(fs::File::open(place.tree(&top)).unwrap()).unwrap().id;
    assert!(has_group(&place, number));
    driver.remove(&top).unwrap();
    // It does not get to wait for the cleaner.
    drop(driver);
    let open = fs::File::open(place.path()).unwrap();
    btrfs::sync(&open).unwrap();
    btrfs::wait_for_cleaner(&open, number, std::time::Duration::from_secs(60)).unwrap();
    btrfs::sync(&open).unwrap();
    let driver = place.open_with(&[("quota", "on")]);
    assert!(!has_group(&place, number), "the quota group of a removed layer is left");
    drop(driver);
}

#[test]
fn privileged_a_layers_limit_counts_what_is_its_own_with_full_quotas() {
    let place = Place::new();
    tool(&["quota", "enable"], place.path());
    fills_up(&place, &[], quota::Mode::Full);
}

#[test]
fn privileged_a_layers_limit_counts_what_is_its_own_with_the_quotas_that_the_driver_switches_on() {
    let place = Place::new();
    let newest = quota::enable(fs::File::open(place.path()).unwrap()).unwrap();
    tool(&["quota", "disable"], place.path());
    fills_up(&place, &[("quota", "on")], newest);
}

#[test]
fn privileged_quotas_are_not_switched_on_unasked() {
    let place = Place::new();
    let driver = place.open();
    let size = CreateOptions { size: Some(Bytes(1 << 30)), ..CreateOptions::default() };
    let refused = driver.create(&id("limited"), None, &size).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }));
    let said = refused.to_string();
    assert!(said.contains("btrfs quota enable") && said.contains("quota=on"), "{said}");
    assert_eq!(quota::mode(fs::File::open(place.path()).unwrap()).unwrap(), None);
}

#[test]
fn privileged_opening_while_deleted_layers_are_being_dropped_leaves_the_file_system_whole() {
    let place = Place::new();
    for round in 0..400 {
        let driver = place.open_with(&[("quota", "on")]);
        let layer = layer(&driver, &format!("l{round}"), None, |root| fs::write(root.join("f"), "x").unwrap());
        driver.remove(&layer).unwrap();
        // The next opening meets the cleaner at its work.
        drop(driver);
    }
    fs::write(place.path().join("still-writable"), "").expect("the kernel gave the file system up");
}

#[test]
fn privileged_waiting_for_a_subvolume_that_is_not_dropped_ends() {
    let place = Place::new();
    let dir = fs::File::open(place.path()).unwrap();
    btrfs::create(&dir, std::ffi::OsStr::new("held")).unwrap();
    let held = fs::File::open(place.path().join("held")).unwrap();
    let number = btrfs::info(&held).unwrap().id;
    btrfs::destroy(&dir, number).unwrap();
    btrfs::sync(&dir).unwrap();
    let wait = |limit| btrfs::wait_for_cleaner(&dir, number, limit);
    let late = wait(std::time::Duration::from_millis(100)).unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    drop(held);
    btrfs::sync(&dir).unwrap();
    wait(std::time::Duration::from_secs(60)).unwrap();
}
