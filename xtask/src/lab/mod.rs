//! What needs another kernel than this one, in virtual machines: the tests of devicemapper, and the whole suite for all drivers.

mod built;
mod named;
mod script;

use std::{ffi::OsString, io, sync::atomic::AtomicBool, thread, time::Duration};

use anyhow::{Context, Result, bail};
use harness_lab::{Job, Kernel, Lab, Output};

use built::Tests;
pub use built::release;
use named::Named;
use script::{Script, word};

/// Integration tests that run there, also those that other kernels ignore: the package and what of it, all by default. The guest
/// has cgroups v2, where many hosts still have v1; its btrfs has no simple quotas.
const CRATES: [(&str, &[&str]); 5] = [
    ("harness", &["see_their_own_cgroup", "frozen_containers", "limits_reach_the_cgroup"]),
    ("driver-overlay2", &[]),
    ("driver-btrfs", &["quota", "limit"]),
    ("harness-network", &[]),
    ("harness-runtime", &["limited", "counted", "cgroup"]),
];

/// Dockerfiles of the builder's corpus, on all four drivers: one, and all of them where all is asked for.
const CORPUS: [&str; 2] = ["privileged_corpus_changes", "privileged_corpus"];

/// All four: what is asked for by name and cannot run is a failure.
const DRIVERS: &str = "overlay2,vfs,btrfs,devicemapper";

/// Those of the suite's trials that `conformance` does not do: another file system, of which a few do but where all is asked for,
/// and random operations, of which fewer than elsewhere, since each is emulated.
const XFS: [&str; 2] = ["privileged_devicemapper-xfs::graphtest", "privileged_devicemapper-xfs::fidelity"];
const RANDOM: &str = "privileged_devicemapper::property";

/// Every step of these operations of devicemapper's under these faults; all of it takes hours.
const FAULTS: [(&str, &str); 2] = [("kill,enospc", "create-on,seal,remove-sealed"), ("full", "mount")];

/// The gate's seeded fault that only devicemapper can have.
const SEEDED: &str = "chunk-512k";

/// The oldest kernel that is supported, where it is installed: what newer ones have is tried natively and in the harness's own
/// tests of the lab. This one has no simple quotas on btrfs, for one.
const OLDER: &str = "6.1";

/// Longer than all of it takes when every instruction is emulated.
const TIMEOUT: Duration = Duration::from_secs(120 * 60);

/// Cases that are long chains or many threads: minutes each where every instruction is emulated, and devicemapper, whose layers are no
/// chain, has tests of its own for threads.
const LONG: &str = "--skip 128-layers --skip depth:: --skip deep-layer --skip 16-threads --skip parent-against-child";

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nearly all of devicemapper, and of the others what another kernel may do otherwise.
    Usual,
    /// Also what the tests have done on this machine's kernel, and what takes minutes a case.
    Whole,
}

/// Three machines side by side, of one processor each: two processors of one emulated machine that wait for each other spin, which
/// costs half as much again as the work, and a third of each one's time goes by in waiting for its disk.
pub fn all(kernel: Option<&str>, extent: Extent) -> Result<()> {
    let out = tempfile::tempdir().context("cannot make a directory")?;
    let run = out.path().join("run");
    let harness = word(&release("harness", "harness")?)?;
    let tests = Tests::build()?;
    let pools = pools(&tests, &harness, extent)?.into_command();
    let others = others(&tests, &harness, extent)?.into_command();
    let work = work(&harness, &word(&run)?).into_command();
    let kernel = kernel.or_else(|| Kernel::find(Some(OLDER)).is_ok().then_some(OLDER));
    let machine = |name, command, shares| {
        let output = || Box::new(Named::new(name, io::stdout()));
        boot(kernel, 1, Job { command, shares, ..Job::default() }, Output { out: output(), err: output() })
            .context(name)
    };
    thread::scope(|scope| {
        let beside = [("pools", pools), ("others", others)]
            .map(|(name, command)| scope.spawn(move || machine(name, command, Vec::new())));
        let ended = machine("work", work, vec![out.path().to_owned()]);
        let ends = beside.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.into_iter().chain([ended]).collect::<Result<()>>()
    })?;
    crate::checks::check_run(&run, &DRIVERS.split(',').collect::<Vec<_>>())
}

/// What examines devicemapper alone.
fn pools(tests: &Tests, harness: &str, extent: Extent) -> Result<Script> {
    let mut script = Script::new();
    let test = word(tests.of("driver-devicemapper")?)?;
    script.part("tests of driver-devicemapper", &format!("some {test} --include-ignored"));
    script.part("the same beside udev", &format!("with_udev some {test} lifecycle busy"));
    let skipped = if extent == Extent::Whole { "" } else { LONG };
    script.part("conformance of devicemapper", &format!("{harness} conformance --driver devicemapper {skipped}"));
    let suite = word(tests.of("driver-conformance")?)?;
    for trial in [XFS[usize::from(extent == Extent::Whole)], RANDOM] {
        script.part(trial, &format!("some env CONFORMANCE_RUNS=4 {suite} {trial}"));
    }
    Ok(script)
}

/// What examines the other drivers, and all beside each other.
fn others(tests: &Tests, harness: &str, extent: Extent) -> Result<Script> {
    let mut script = Script::new();
    for (name, filters) in CRATES {
        let test = word(tests.of(name)?)?;
        for filter in if filters.is_empty() { &[""] } else { filters } {
            script.part(&format!("tests of {name} {filter}"), &format!("some {test} --include-ignored {filter}"));
        }
    }
    let (builder, corpus) = (word(tests.of("harness-builder")?)?, CORPUS[usize::from(extent == Extent::Whole)]);
    script.part(&format!("tests of harness-builder {corpus}"), &format!("some {builder} --include-ignored {corpus}"));
    script.part("what devicemapper keeps", &format!("keeps {harness}"));
    let cases = if extent == Extent::Whole { "" } else { "--case fidelity" };
    script.part("conformance of the others", &format!("{harness} conformance --driver overlay2,vfs,btrfs {cases}"));
    script.part("equality of all drivers", &format!("{harness} conformance --driver {DRIVERS} --case equality"));
    Ok(script)
}

/// What the program does on devicemapper; the main job leaves its results in `run`.
fn work(harness: &str, run: &str) -> Script {
    let mut script = Script::new();
    for (faults, operations) in FAULTS {
        let command = format!("{harness} faults --driver devicemapper --fault {faults} --operation {operations}");
        script.part(&format!("devicemapper: {faults} in {operations}"), &command);
    }
    let command = format!("{harness} compare --faults={SEEDED} --out \"$TMPDIR/faults\"");
    script.part(&format!("the gate sees {SEEDED}"), &command);
    script.part("from driver to driver", &format!("migrate {harness}"));
    script.part(
        "main job",
        &format!("{harness} --driver {DRIVERS} --workload build --quick --runs 1 --format none --out {run}"),
    );
    script
}

/// Any command, for people at work.
pub fn run(kernel: Option<&str>, command: Vec<OsString>) -> Result<()> {
    let output = Output { out: Box::new(io::stdout()), err: Box::new(io::stderr()) };
    boot(kernel, 2, Job { command, ..Job::default() }, output)
}

fn boot(kernel: Option<&str>, cpus: u32, job: Job, output: Output<'_>) -> Result<()> {
    let mut lab = Lab::new(Kernel::find(kernel)?);
    lab.memory = 3 << 30;
    lab.cpus = cpus;
    lab.timeout = Some(TIMEOUT);
    let job = Job {
        dir: std::env::current_dir().context("cannot find the current directory")?,
        environment: std::env::vars_os().filter(|(name, _)| passed_on(&name.to_string_lossy())).collect(),
        ..job
    };
    println!("Linux {}", lab.kernel.release());
    // Ctrl-C ends this program, and the machine with it.
    match lab.run(&job, output, &AtomicBool::new(false))? {
        0 => Ok(()),
        status => bail!("the command in the virtual machine ended with status {status}"),
    }
}

fn passed_on(name: &str) -> bool {
    name.starts_with("HARNESS_") || name.starts_with("CONFORMANCE_") || name.starts_with("RUST_")
}
