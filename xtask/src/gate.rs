//! This project's own gate: what the drivers' counters are, against what they were.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use results::compare::fingerprint;

use crate::lab::release;

/// Where the reference runs are, by fingerprint.
const REFERENCES: &str = "results/reference";

/// Nothing here stands on this machine's own programs, so that the fingerprint is the kernel's and the file systems' tools' alone.
const WORKLOADS: &str = "copyup,metadata,read,layers,diff,commit,apply,delete,snapshotter";

/// Rounds of a check; the gate fails nothing by fewer.
const ROUNDS: &str = "3";
/// Rounds of a reference, from which the gate knows how much each cell varies by itself.
const MANY: &str = "20";

/// Measures, and compares with the reference. A machine that has none is held against itself, and that is said.
pub fn check() -> Result<()> {
    let harness = release("harness", "harness")?;
    let scratch = tempfile::tempdir().context("cannot make a directory")?;
    let new = scratch.path().join("new");
    measure(&harness, ROUNDS, &new)?;
    let name = fingerprint(&results::RunDir::open(&new).read_record()?);
    let reference = Path::new(REFERENCES).join(&name);
    if reference.exists() {
        return compare(&harness, &reference, &new);
    }
    println!(
        "No reference run of this machine (fingerprint {name}) in {REFERENCES}, so its counters are only held against \
         themselves; `cargo xtask gate --record` makes one."
    );
    let again = scratch.path().join("again");
    measure(&harness, ROUNDS, &again)?;
    compare(&harness, &new, &again)
}

/// Measures many rounds and keeps them.
pub fn record() -> Result<()> {
    let harness = release("harness", "harness")?;
    let scratch = tempfile::tempdir().context("cannot make a directory")?;
    let new = scratch.path().join("new");
    measure(&harness, MANY, &new)?;
    run(Command::new(harness).args(["compare", "--record", REFERENCES]).arg(new))
}

/// Faults whose cells are counters, and that every kernel can have: what needs device-mapper is the lab's, and `sleep-30` takes half an
/// hour of pairs.
const FAULTS: &str =
    "--faults=fsync-per-file,copy-for-reflink,metacopy-off,redirect-off,copy-twice,diff-walks-base,fsync-strict";

/// Tries the gate out: each of these faults must be caught by the cell that should.
pub fn faults() -> Result<()> {
    let harness = release("harness", "harness")?;
    let scratch = tempfile::tempdir().context("cannot make a directory")?;
    let (root, out) = (scratch.path().join("root"), scratch.path().join("out"));
    run(Command::new(harness).args(["compare", FAULTS]).arg("--root").arg(root).arg("--out").arg(out))
}

fn measure(harness: &Path, rounds: &str, out: &Path) -> Result<()> {
    let mut command = Command::new(harness);
    command
        .args([
            "bench",
            "--driver",
            "all",
            "--workload",
            WORKLOADS,
            "--quick",
            "--runs",
            rounds,
            "--format",
            "none",
            "--out",
        ])
        .arg(out);
    command.arg("--root").arg(out.with_extension("root"));
    run(&mut command)
}

fn compare(harness: &Path, base: &Path, new: &Path) -> Result<()> {
    run(Command::new(harness).arg("compare").args([base, new]))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
