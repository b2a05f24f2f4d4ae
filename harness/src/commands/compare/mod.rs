mod pairs;
mod revision;
mod selftest;

use std::{ffi::OsString, path::PathBuf, time::SystemTime};

use anyhow::Context;
use clap::{Args, ValueEnum};
use results::{
    Recorded, charts,
    compare::{self, Comparison, Options, Thresholds, formats, reference},
};

use self::pairs::{Pairs, Program};
use crate::{
    cli::Common,
    commands::print,
    failure::{Failure, Result},
    say, signals,
};

/// Fail when a run costs more than another
///
/// Counters and shapes are compared exactly, within what the kernel itself varies. Times are judged only in pairs that ran side by
/// side (--rebase, --paired), and fail only when they grew by more than --threshold in both halves of the pairs.
///
/// Exit status 1 when something regressed, a cell went missing, or the two cannot be compared.
#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub common: Common,
    /// The base, then what is new: run directories. The base may be a directory of reference runs by fingerprint
    #[arg(value_name = "RUN", num_args = 0..=2)]
    pub runs: Vec<PathBuf>,
    /// The rounds of the two runs are pairs: times are judged, too
    #[arg(long)]
    pub paired: bool,
    /// Growth of a time that fails, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 25.0)]
    pub threshold: f64,
    /// Growth of a time that is told, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub warn: f64,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Keep the counters of one run as a reference in this directory, under the run's fingerprint
    #[arg(long, value_name = "DIR", conflicts_with_all = ["paired", "rebase", "aa", "faults"])]
    pub record: Option<PathBuf>,
    /// Build this revision of the project, and run it and this program here, in pairs: harness compare --rebase main -- --driver
    /// overlay2 --workload copyup --quick
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["runs", "aa", "faults"])]
    pub rebase: Option<String>,
    /// Run this program against itself so many times: none may be an alarm, and it says what changes could be seen
    #[arg(long, value_name = "TIMES", conflicts_with_all = ["runs", "faults"])]
    pub aa: Option<u32>,
    /// Try the gate out: run each seeded fault (or those named) against this program, and print which cell caught it
    #[arg(long, value_name = "NAME[,NAME...]", num_args = 0..=1, require_equals = true, default_missing_value = "all",
        conflicts_with = "runs")]
    pub faults: Option<String>,
    /// Pairs of rounds of --rebase
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub pairs: u32,
    /// Where --rebase, --aa and --faults leave their runs [default: results/compare/<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Draw the times' ratios and their intervals into this directory: ratios.svg and ratios.png
    #[arg(long, value_name = "DIR")]
    pub chart: Option<PathBuf>,
    /// What both sides run: arguments of `harness bench`, after --
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What changed, for people
    #[default]
    Table,
    /// Every judgement
    Json,
    /// For a pull request
    Markdown,
    /// JUnit XML
    Junit,
    /// The new run, for github-action-benchmark (customSmallerIsBetter)
    GithubActionBenchmark,
    /// The new run, in Bencher Metric Format
    Bencher,
}

pub fn run(args: &CompareArgs) -> Result {
    let options = Options {
        paired: args.paired || args.rebase.is_some(),
        thresholds: Thresholds { fail: args.threshold / 100.0, warn: args.warn / 100.0 },
    };
    if let Some(revision) = &args.rebase {
        return rebase(args, revision, &options);
    }
    if let Some(times) = args.aa {
        return selftest::against_itself(&out(args), &rooted(args, &args.args), times);
    }
    if let Some(faults) = &args.faults {
        return selftest::faults(faults, &out(args), &rooted(args, &[]));
    }
    if let Some(dir) = &args.record {
        let [run] = args.runs.as_slice() else { return Err(Failure::usage("--record takes one run")) };
        let path = reference::keep(run, dir)?;
        say(&format!("kept in {}", path.display()));
        return Ok(());
    }
    let [base, new] = args.runs.as_slice() else {
        return Err(Failure::usage("compare takes two runs, the base first; or --rebase, --aa, --record, --faults"));
    };
    let new = Recorded::read(new)?;
    let base = reference::find(base, &new)?;
    conclude(&base, &new, &options, args)
}

fn rebase(args: &CompareArgs, revision: &str, options: &Options) -> Result {
    let stop = signals::stop_flag()?;
    let built = revision::build(revision)?;
    let given = rooted(args, &args.args);
    let sides = [Program::of(built.program(), &given), Program::this(&given)?];
    let pairs = Pairs { rounds: args.pairs, seed: 1 };
    let [base, new] = pairs.run(&sides, &out(args), &stop)?;
    conclude(&base, &new, options, args)
}

/// What `harness bench` is given: these, and where it keeps its data.
fn rooted(args: &CompareArgs, given: &[OsString]) -> Vec<OsString> {
    let root = args.common.root.iter().flat_map(|root| ["--root".into(), root.clone().into_os_string()]);
    root.chain(given.iter().cloned()).collect()
}

fn out(args: &CompareArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| PathBuf::from("results/compare").join(results::compact(SystemTime::now())))
}

fn conclude(base: &Recorded, new: &Recorded, options: &Options, args: &CompareArgs) -> Result {
    let comparison = compare::compare(base, new, options);
    print(&text(&comparison, new, args.format)?)?;
    if let Some(dir) = &args.chart {
        match charts::ratios(&comparison, &options.thresholds)? {
            Some(picture) => {
                std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
                charts::write(&picture, dir)?;
            }
            None => say("no chart: no times were compared"),
        }
    }
    passed(&comparison)
}

fn text(comparison: &Comparison, new: &Recorded, format: Format) -> Result<String> {
    Ok(match format {
        Format::Table => formats::table(comparison),
        Format::Json => serde_json::to_string_pretty(comparison)? + "\n",
        Format::Markdown => formats::markdown(comparison),
        Format::Junit => formats::junit(comparison),
        Format::GithubActionBenchmark => formats::benchmark_action(new)? + "\n",
        Format::Bencher => formats::bencher(new)? + "\n",
    })
}

fn passed(comparison: &Comparison) -> Result {
    if comparison.is_passed() {
        return Ok(());
    }
    let (base, new) = (&comparison.base, &comparison.new);
    Err(Failure::failed(if comparison.refused.is_empty() {
        format!("{new} does not pass against {base}: {}", comparison.verdict())
    } else {
        format!("{new} and {base} cannot be compared; run both sides here: --rebase REVISION -- ARGS")
    }))
}
