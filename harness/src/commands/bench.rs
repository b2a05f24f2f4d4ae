pub mod choice;
mod resume;
mod room;
mod row;
pub mod run;
mod watch;

use std::path::PathBuf;

use clap::Args;
use driver_inject::Mistake;
use harness_testbed::{FileSystem, Spec, loop_is_possible};

use self::{resume::Resumed, run::Run};
use crate::{cli::Common, drivers, engine::processor, failure::Result, place::Place, say, signals};

/// Run workloads on drivers, interleaved, and write a run directory
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub common: Common,
    /// Drivers: one, several with commas, or all that work here
    #[arg(long, value_name = "NAME[,NAME...]")]
    pub driver: Vec<String>,
    /// Workloads: one, several with commas, or all
    #[arg(long, value_name = "NAME[,NAME...]", default_value = "build")]
    pub workload: Vec<String>,
    /// Rounds that are measured [default: such that the main job ends within a minute]
    #[arg(long, value_name = "N")]
    pub runs: Option<u32>,
    /// Rounds before that, not recorded
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: u32,
    /// Three small rounds: enough to tell drivers apart, and within a minute a driver for all workloads
    #[arg(long)]
    pub quick: bool,
    /// A parameter of the workloads that have it, or of one of them; `harness list` shows them
    #[arg(long = "param", short = 'p', value_name = "[WORKLOAD:]NAME=VALUE")]
    pub params: Vec<String>,
    /// Where the drivers' data lives: loop[:ext4|xfs|btrfs][,size=4G][,memory], dir:PATH or dev:PATH; the file system is the one that
    /// the driver needs, else ext4 [default: loop as root where loop devices and mkfs are there, else a directory below
    /// --root]
    #[arg(long, value_name = "TESTBED")]
    pub testbed: Option<String>,
    /// Driver option, such as metacopy=on; DRIVER:NAME=VALUE for one driver of several
    #[arg(long = "driver-opt", value_name = "[DRIVER:]NAME=VALUE")]
    pub driver_options: Vec<String>,
    /// Seed of everything random: contents, order of rounds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The run directory, which is made [default: results/runs/<time>-<id>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run, as it was started: whole rounds are kept, the rest is measured
    #[arg(long, value_name = "DIR", exclusive = true)]
    pub resume: Option<PathBuf>,
    /// What to print on standard output; none: the run directory is enough
    #[arg(long, default_value = "table", value_parser = ["table", "json", "csv", "none"])]
    pub format: String,
    /// Make the driver dearer by a known mistake, to see that `harness compare` finds out: fsync-per-file, copy-for-reflink,
    /// metacopy-off, redirect-off, chunk-512k, copy-twice, diff-walks-base, fsync-strict or sleep-30
    #[arg(long, value_name = "MISTAKE", help_heading = "Trying the gate out")]
    pub inject: Option<Mistake>,
    /// Keep the testbeds, to look at what is on them
    #[arg(long)]
    pub keep: bool,
}

/// Rounds when nothing is said: the main job stays within a minute on two cores.
const ROUNDS: u32 = 5;
/// The fewest that have an interval.
const QUICK_ROUNDS: u32 = 3;

pub fn run(args: &BenchArgs) -> Result {
    let Some(dir) = &args.resume else { return measure(args, None) };
    let resumed = resume::open(dir)?;
    let args = resumed.args.clone();
    measure(&args, Some(resumed))
}

fn measure(args: &BenchArgs, resumed: Option<Resumed>) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let choice = drivers::choose(&args.driver)?;
    let workloads = choice::workloads(&args.workload)?;
    let params = choice::params(&workloads, &args.params, args.quick)?;
    let workloads: Vec<_> = workloads.into_iter().zip(params).collect();
    // Refused before there is a run directory.
    choice::driver_options(&args.driver_options, &choice.entries)?;
    let spec = testbed(args, &place)?;
    let stop = signals::stop_flag()?;
    // Before the threads that work.
    processor::count_syscalls();
    let run = match resumed {
        Some(resumed) => Run::resume(resumed, &place)?,
        None => Run::start(args, &place)?,
    };
    run.all(args, &choice, &workloads, &spec, &stop)
}

/// A loop device where that is possible, since only a device of its own counts exactly.
pub fn testbed(args: &BenchArgs, place: &Place) -> Result<Spec> {
    if let Some(text) = &args.testbed {
        return Ok(text.parse()?);
    }
    match loop_is_possible(FileSystem::default()) {
        Ok(()) => Ok(Spec::default()),
        Err(why) => {
            let dir = place.testbeds().join("dir");
            say(&format!("no device of its own, so no device counters: {why}; using {}", dir.display()));
            Ok(Spec::Dir(dir))
        }
    }
}

fn rounds(args: &BenchArgs) -> u32 {
    args.runs.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS }).max(1)
}

fn warmup(args: &BenchArgs) -> u32 {
    if args.quick { 0 } else { args.warmup }
}
