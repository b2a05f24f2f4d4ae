//! A measurement of what did not happen is none: each workload fails, and says why.

use driver_memory::MemoryDriver;
use workloads::Error;

use crate::{
    engine::{Bare, Caches, run},
    lying::{Lie, Lying},
};

/// The workload on a driver with this lie fails for want of its effect, with these words.
fn noticed(name: &str, params: &[(&str, &str)], lie: Lie, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Bare::new(Lying::new(MemoryDriver::open(dir.path()).unwrap(), lie));
    match run(name, params, &mut engine) {
        Err(error @ Error::Effect { .. }) => {
            assert!(error.to_string().contains(words), "{name} with {lie:?}: {error}");
        }
        other => panic!("{name} with {lie:?}: {other:?}"),
    }
}

#[test]
fn copyup_notices_that_nothing_was_copied_or_everything_twice() {
    let params = |operations| [("sizes", "8192"), ("operations", operations)];
    for operation in ["append", "overwrite", "truncate", "mmap", "chmod", "setxattr"] {
        noticed("copyup", &params(operation), Lie::NothingCopied, "files copied up");
        noticed("copyup", &params(operation), Lie::CopiedTwice, "files copied up");
    }
}

#[test]
fn copyup_notices_other_bytes() {
    let params = [("sizes", "8192"), ("operations", "append")];
    noticed("copyup", &params, Lie::Spoilt("data/append-8192"), "block 0");
}

#[test]
fn metadata_notices_what_was_not_copied_or_is_missing() {
    let params = [("files", "10"), ("storm", "2")];
    noticed("metadata", &params, Lie::NothingCopied, "files copied up by");
    noticed("metadata", &params, Lie::Stray, "files copied up by");
    noticed("metadata", &params, Lie::Lost("tree/d0000/f000001"), "entries of the tree");
}

#[test]
fn read_notices_other_bytes_and_caches_that_were_not_dropped() {
    let params = [("containers", "2"), ("files", "2"), ("size", "8192")];
    noticed("read", &params, Lie::Spoilt("file-0001"), "reader sees");
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Bare::new(MemoryDriver::open(dir.path()).unwrap());
    engine.caches = Caches::SaidToBeDropped;
    let error = run("read", &params, &mut engine).unwrap_err();
    assert!(matches!(&error, Error::Effect { what, .. } if what.contains("nobody had cached")), "{error}");
}

#[test]
fn layers_notices_an_entry_that_is_missing() {
    let params = [("depths", "2"), ("files", "2")];
    noticed("layers", &params, Lie::Lost("merged/l00002-1"), "entries of 2 layers");
}

#[test]
fn diff_notices_that_nothing_is_told() {
    for case in ["one-in-large", "many", "app"] {
        let params = [("cases", case), ("files", "20"), ("changed", "10")];
        noticed("diff", &params, Lie::NothingChanged, "changes of a layer");
    }
}

#[test]
fn apply_notices_that_nothing_was_laid_out() {
    for case in ["one-in-large", "many"] {
        let params = [("cases", case), ("files", "20"), ("changed", "10")];
        noticed("apply", &params, Lie::NothingApplied, "the changes of a layer");
    }
    noticed("apply", &[("cases", "app"), ("files", "20"), ("changed", "10")], Lie::NothingApplied, "entries");
}

#[test]
fn commit_notices_that_nothing_was_sealed() {
    let params = [("cases", "one-in-large"), ("files", "20"), ("changed", "10")];
    noticed("commit", &params, Lie::NothingSealed, "after sealing");
}

#[test]
fn delete_notices_that_nothing_was_removed() {
    let params = [("cases", "file"), ("size", "1048576"), ("files", "20"), ("layers", "2")];
    noticed("delete", &params, Lie::NothingRemoved, "layers");
}

#[test]
fn snapshotter_notices_a_stray_file() {
    noticed("snapshotter", &[("layers", "4"), ("size", "5000")], Lie::Stray, "files of the topmost layer");
}
