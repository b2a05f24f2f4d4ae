use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow};
use clap::Args;
use harness_lab::{Accel, Error, Job, Kernel, Lab, Output};
use results::{RunDir, RunRecord};

use crate::{
    cli::{Cli, Command, Common},
    commands::{bench, print},
    failure::{Failure, Result},
    say, signals, size,
};

/// Run any harness command in a virtual machine on another kernel
///
/// The guest sees this machine's files and has an empty disk of its own for the harness's data. What it writes is gone with
/// it, but for the run directory (--out).
///
/// With several kernels the command runs on each, and their run directories become one, with a column a kernel.
#[derive(Debug, Args)]
pub struct LabArgs {
    #[command(flatten)]
    pub common: Common,
    /// Kernel to boot: a path, or a version such as 6.1, which means the newest installed one of it; may be given several
    /// times [default: the newest installed one]
    #[arg(long, value_name = "PATH|VERSION")]
    pub kernel: Vec<String>,
    /// Memory of the guest
    #[arg(long, value_name = "SIZE", default_value = "2g", value_parser = bytes)]
    pub memory: u64,
    /// Processors of the guest
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cpus: u32,
    /// Who executes the guest's instructions: tcg emulates; auto tries kvm, and emulates where no guest comes up with it
    #[arg(long, value_name = "auto|kvm|tcg", default_value_t)]
    pub accel: Accel,
    /// Size of the guest's disk; it takes what is written
    #[arg(long, value_name = "SIZE", default_value = "16g", value_parser = bytes)]
    pub disk_size: u64,
    /// End the guest when the command takes longer [default: no limit]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// A directory in which the command may change this machine's files; may be given several times
    #[arg(long, value_name = "DIR")]
    pub share: Vec<PathBuf>,
    /// The harness command and its arguments, after --
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

fn bytes(text: &str) -> Result<u64, String> {
    size::parse(text).map(|size| size.0)
}

pub fn run(args: &LabArgs) -> Result {
    let command = match Cli::read([OsString::from("harness")].iter().chain(&args.args)) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Err(Failure::Status(2, None)) } else { Ok(()) };
        }
    };
    if matches!(command, Command::Lab(_)) {
        return Err(Failure::usage("a lab in the lab would be no other lab; name what it is to run"));
    }
    let kernels = kernels(&args.kernel)?;
    let stop = signals::stop_flag()?;
    let mut lab = machine(args, &kernels[0])?;
    let shares = args.share.iter().map(|dir| shared(dir)).collect::<Result<Vec<_>>>()?;
    match (command, kernels.as_slice()) {
        (Command::Bench(bench), [_]) => {
            let out = RunDir::create(&absolute(&out(&bench))?)?;
            let status =
                boot(&mut lab, &with_out(&args.args, out.path()), &with(&shares, out.path()), Words::All, &stop);
            discard_if_empty(out.path());
            passed_on(status?)
        }
        (Command::Bench(bench), kernels) => compare(args, &mut lab, &bench, kernels, &shares, &stop),
        (_, kernels) => {
            let mut outcome = Ok(());
            for kernel in kernels {
                if kernels.len() > 1 {
                    say(&format!("Linux {}:", kernel.release()));
                }
                lab.kernel = kernel.clone();
                let status = boot(&mut lab, &args.args, &shares, Words::All, &stop)?;
                outcome = outcome.and(passed_on(status));
            }
            outcome
        }
    }
}

fn kernels(asked: &[String]) -> Result<Vec<Kernel>> {
    let mut kernels: Vec<Kernel> = Vec::new();
    if asked.is_empty() {
        kernels.push(Kernel::find(None)?);
    }
    for name in asked {
        let kernel = Kernel::find(Some(name))?;
        if kernels.iter().any(|other| other.release() == kernel.release()) {
            return Err(Failure::usage(format!("--kernel {name}: Linux {} is there already", kernel.release())));
        }
        kernels.push(kernel);
    }
    Ok(kernels)
}

/// The run directory, which must lie outside the guest.
fn out(bench: &bench::BenchArgs) -> PathBuf {
    let id = || results::compact(SystemTime::now()) + "-lab";
    bench.out.clone().unwrap_or_else(|| Path::new("results/runs").join(id()))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?)
}

/// A mount point for what is shared must be there and be a directory; the guest is too late to say so.
fn shared(dir: &Path) -> Result<PathBuf> {
    let path = std::fs::canonicalize(dir).with_context(|| format!("cannot share {}", dir.display()))?;
    if path.is_dir() { Ok(path) } else { Err(Failure::usage(format!("{} is no directory", dir.display()))) }
}

fn with(shares: &[PathBuf], out: &Path) -> Vec<PathBuf> {
    shares.iter().cloned().chain([out.to_owned()]).collect()
}

/// The same arguments with another run directory.
fn with_out(args: &[OsString], out: &Path) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word == "--out" {
            words.next();
        } else if !word.to_string_lossy().starts_with("--out=") {
            kept.push(word.clone());
        }
    }
    kept.push("--out".into());
    kept.push(out.into());
    kept
}

/// A run that failed before it wrote anything leaves no directory.
fn discard_if_empty(out: &Path) {
    // Fails, as it should, when there is something in it.
    let _ = std::fs::remove_dir(out);
}

/// Which of a guest's words are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    All,
    /// Its standard output is only a part of the answer.
    Err,
}

/// The machine as it is asked for.
fn machine(args: &LabArgs, kernel: &Kernel) -> Result<Lab> {
    let mut lab = Lab {
        memory: args.memory,
        cpus: args.cpus,
        accel: args.accel,
        disk: args.disk_size,
        timeout: args.timeout.map(Duration::from_secs),
        ..Lab::new(kernel.clone())
    };
    if let Some(root) = &args.common.root {
        std::fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        lab.scratch.clone_from(root);
    }
    Ok(lab)
}

fn boot(lab: &mut Lab, command: &[OsString], shares: &[PathBuf], words: Words, stop: &AtomicBool) -> Result<u8> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut job = Job {
        command: vec![program.into()],
        dir: std::env::current_dir().context("cannot find the current directory")?,
        environment: environment().collect(),
        shares: shares.to_vec(),
    };
    job.command.extend(command.iter().cloned());
    let out: Box<dyn io::Write + Send> = match words {
        Words::All => Box::new(io::stdout()),
        Words::Err => Box::new(io::sink()),
    };
    match lab.run(&job, Output { out, err: Box::new(io::stderr()) }, stop) {
        Ok(status) => Ok(status),
        Err(Error::Stopped) => Err(Failure::Status(130, Some(anyhow!("stopped; what was measured is kept")))),
        Err(error) => Err(error.into()),
    }
}

/// What steers this program and the language's runtime; the rest of the environment is about this machine.
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    let wanted = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("HARNESS_") || matches!(&*name, "RUST_BACKTRACE" | "SOURCE_DATE_EPOCH" | "TERM")
    };
    std::env::vars_os().filter(move |(name, _)| wanted(name))
}

fn passed_on(status: u8) -> Result {
    if status == 0 { Ok(()) } else { Err(Failure::Status(status, None)) }
}

/// The same job on every kernel, then one run directory of all. The guests' own are kept in it, in `kernels/`.
fn compare(
    args: &LabArgs,
    lab: &mut Lab,
    bench: &bench::BenchArgs,
    kernels: &[Kernel],
    shares: &[PathBuf],
    stop: &AtomicBool,
) -> Result {
    let start = SystemTime::now();
    let whole = RunDir::create(&absolute(&out(bench))?)?;
    let mut outcome = Ok(());
    let mut parts = Vec::new();
    for kernel in kernels {
        say(&format!("Linux {}:", kernel.release()));
        let part = RunDir::create(&whole.path().join("kernels").join(kernel.release()))?;
        lab.kernel = kernel.clone();
        let booted = boot(lab, &with_out(&args.args, part.path()), &with(shares, part.path()), Words::Err, stop);
        let stopped = signals::stopped(stop);
        discard_if_empty(part.path());
        outcome = outcome.and(booted.and_then(passed_on));
        if part.samples().exists() {
            parts.push((kernel.release(), part));
        }
        if stopped {
            break;
        }
    }
    discard_if_empty(&whole.path().join("kernels"));
    discard_if_empty(whole.path());
    if parts.is_empty() {
        return outcome;
    }
    let record = record(&parts, start, &outcome)?;
    let samples = results::merge(&parts, &whole, record)?;
    let summaries = results::summarise(&samples);
    let charts = results::charts::render(&whole)?;
    match bench.format.as_str() {
        "json" => print(&(serde_json::to_string_pretty(&summaries)? + "\n"))?,
        "csv" => print(&std::fs::read_to_string(whole.path().join("summary.csv"))?)?,
        _ => print(&results::summary_table(&summaries))?,
    }
    say(&format!("run directory: {} ({} charts in charts/)", whole.path().display(), charts.len()));
    outcome
}

/// The record of all runs: the machine is the guest, with several kernels.
fn record(parts: &[(&str, RunDir)], start: SystemTime, outcome: &Result) -> Result<RunRecord> {
    let mut record = match parts {
        [(_, first), ..] => first.read_record()?,
        [] => return Err(Failure::Internal(anyhow!("no run to merge"))),
    };
    record.run = results::compact(start) + "-lab";
    record.command = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    record.host.kernel = parts.iter().map(|(release, _)| *release).collect::<Vec<_>>().join(", ");
    record.host.kernel_config = None;
    record.start = results::rfc3339(start);
    record.end = Some(results::rfc3339(SystemTime::now()));
    record.outcome = Some(match outcome {
        Ok(()) => "complete".to_owned(),
        Err(failure) => format!("failed: {failure}"),
    });
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_directory_is_the_last_word() {
        let args = ["--out", "a", "--quick", "--out=b"].map(OsString::from);
        assert_eq!(with_out(&args, Path::new("/c")), ["--quick", "--out", "/c"].map(OsString::from));
    }
}
