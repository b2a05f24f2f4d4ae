//! The checks, in the order in which they are cheap to fail.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    gate,
    lab::{self, Extent},
    leftovers::Leftovers,
};

/// Tests whose names start so need root; see `CONTRIBUTING` in README.md.
const PRIVILEGED: &str = "privileged_";

/// What libFuzzer runs is linted here, too.
const ALL: &[&str] = &["--all-targets", "--features", "fuzz/libfuzzer"];
/// And what only the lab does.
const LAB: &[&str] = &["--test", "lab"];

/// Drivers that run on any kernel.
const NATIVE: &[&str] = &["overlay2", "vfs", "btrfs"];

/// Runs every check and stops at the first that fails.
pub fn all() -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let before = Leftovers::find()?;
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    for targets in [ALL, LAB] {
        step("clippy", &mut cargo(&[&["clippy", "--workspace"], targets, &["--", "-D", "warnings"]].concat()))?;
    }
    step(
        "docs",
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    if !root {
        println!("Not root: tests named {PRIVILEGED}* are left out (mounts, loop devices, device nodes).");
        tests.args(["--", "--skip", PRIVILEGED]);
    }
    step("tests", &mut tests)?;
    let smoke = Scratch::new()?;
    step("smoke run of the main job", cargo(&["run", "--release", "-p", "harness", "--"]).args(smoke.arguments()))?;
    smoke.check(if root { NATIVE } else { &["overlay2", "vfs"] })?;
    println!("== gate");
    let start = Instant::now();
    gate::check().context("gate")?;
    println!("== gate: {:.0} s", start.elapsed().as_secs_f64());
    println!("== seeded faults");
    let start = Instant::now();
    gate::faults().context("seeded faults")?;
    println!("== seeded faults: {:.0} s", start.elapsed().as_secs_f64());
    println!("== lab, and beside it the faults");
    let start = Instant::now();
    let faults = if root { Some(start_faults()?) } else { None };
    let examined = lab::all(None, Extent::Usual).context("lab");
    println!("== lab: {:.0} s", start.elapsed().as_secs_f64());
    faults.map_or(Ok(()), end_faults)?;
    examined?;
    before.compare(&Leftovers::find()?)?;
    println!("All checks passed.");
    Ok(())
}

/// Starts every step of every operation; nothing measured goes on meanwhile, and emulation leaves a processor half idle.
fn start_faults() -> Result<Child> {
    let harness = lab::release("harness", "harness")?;
    let mut command = Command::new(&harness);
    command.args(["faults", "--driver", &NATIVE.join(",")]).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start {}", harness.display()))
}

/// Waits for the matrix, and prints it.
fn end_faults(faults: Child) -> Result<()> {
    let output = faults.wait_with_output().context("cannot wait for the faults")?;
    println!("== faults: every step of every operation\n{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        bail!("faults: {}", output.status);
    }
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Where the smoke run keeps its data and its results; gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("harness-smoke-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments: Vec<std::ffi::OsString> = Vec::new();
        for argument in ["--driver", "all", "--workload", "build", "--quick", "--root"] {
            arguments.push(argument.into());
        }
        arguments.push(self.0.join("root").into());
        arguments.push("--out".into());
        arguments.push(self.out().into());
        arguments
    }

    fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    fn check(&self, drivers: &[&str]) -> Result<()> {
        check_run(&self.out(), drivers)
    }
}

/// A run directory of the main job has what it must, for all of these drivers.
pub fn check_run(out: &Path, drivers: &[&str]) -> Result<()> {
    let charts = out.join("charts");
    for file in ["run.json", "samples.csv", "summary.csv"] {
        require(&out.join(file))?;
    }
    let summary = out.join("summary.csv");
    let text = std::fs::read_to_string(&summary).with_context(|| format!("cannot read {}", summary.display()))?;
    let found: BTreeSet<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    if let Some(missing) = drivers.iter().find(|driver| !found.contains(*driver)) {
        bail!("the smoke run measured {found:?}, and not {missing}");
    }
    let count = |ending: &str| -> Result<usize> {
        let entries = std::fs::read_dir(&charts).with_context(|| format!("cannot read {}", charts.display()))?;
        Ok(entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == ending)).count())
    };
    let (svg, png) = (count("svg")?, count("png")?);
    if svg == 0 || svg != png {
        bail!("the smoke run left {svg} SVG and {png} PNG charts in {}", charts.display());
    }
    Ok(())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}

fn require(file: &Path) -> Result<()> {
    let size = std::fs::metadata(file).with_context(|| format!("the smoke run left no {}", file.display()))?.len();
    if size == 0 {
        bail!("the smoke run left an empty {}", file.display());
    }
    Ok(())
}
