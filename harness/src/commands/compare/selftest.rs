//! The gate tried out: no alarm where nothing changed, and an alarm for each seeded fault.

use std::{ffi::OsString, fmt::Write as _, path::Path};

use results::{
    Kind, Recorded,
    compare::{self, Comparison, Options, Verdict},
};

use super::pairs::{Pairs, Program};
use crate::{
    commands::print,
    failure::{Failure, Result},
    nearest, say, signals,
};

/// Rounds of each run that is held against another.
const ROUNDS: u32 = 3;

/// Runs this program `times` + 1 times, and holds each run against the one before it; then all of them as pairs, for the times.
pub fn against_itself(out: &Path, args: &[OsString], times: u32) -> Result {
    let stop = signals::stop_flag()?;
    let program = Program::this(args)?;
    let mut before = program.measure(ROUNDS, &out.join("run-000"))?;
    let (mut alarms, mut unstable, mut cells) = (0, 0, 0);
    for time in 1..=times {
        if signals::stopped(&stop) {
            return Err(Failure::Status(130, Some(anyhow::anyhow!("stopped"))));
        }
        let run = program.measure(ROUNDS, &out.join(format!("run-{time:03}")))?;
        let comparison = compare::compare(&before, &run, &Options::default());
        cells = comparison.judgements.len();
        unstable += comparison.counts().get(&Verdict::Unstable).copied().unwrap_or(0);
        if !comparison.is_passed() {
            alarms += 1;
            say(&format!("comparison {time}:\n{}", compare::formats::table(&comparison)));
        }
        before = run;
    }
    print(&format!("{times} comparisons of {cells} cells each: {alarms} alarms, {unstable} cells unstable\n"))?;
    let pairs = Pairs { rounds: 30, seed: 1 };
    let [base, new] = pairs.run(&[program.clone(), program], &out.join("pairs"), &stop)?;
    let comparison = compare::compare(&base, &new, &Options { paired: true, ..Options::default() });
    print(&detectable(&comparison))?;
    if alarms > 0 || !comparison.is_passed() {
        return Err(Failure::failed("an alarm where nothing changed"));
    }
    Ok(())
}

/// How small a change of each workload's times could have been seen.
fn detectable(comparison: &Comparison) -> String {
    let mut text = String::from(
        "smallest change of a time that 30 pairs show here, in percent (least, median, most of the cells)\n",
    );
    let mut groups: std::collections::BTreeMap<(&str, &str), Vec<f64>> = std::collections::BTreeMap::new();
    for judgement in comparison.judgements.iter().filter(|judgement| judgement.cell.metric == "wall") {
        if let Some(ratio) = judgement.ratio {
            let group = (judgement.cell.driver.as_str(), judgement.cell.workload.as_str());
            groups.entry(group).or_default().push(100.0 * ratio.detectable());
        }
    }
    for ((driver, workload), mut seen) in groups {
        seen.sort_by(f64::total_cmp);
        let (least, median, most) = (seen[0], results::median(&seen), seen[seen.len() - 1]);
        _ = writeln!(text, "  {driver:<14} {workload:<14} {least:6.1} {median:6.1} {most:6.1}");
    }
    text
}

/// A mistake that the gate must see.
#[derive(Debug)]
struct Fault {
    name: &'static str,
    /// Arguments of `bench` that both sides run.
    args: &'static str,
    /// Workload and metric of the cells that must see it.
    seen_by: (&'static str, &'static str),
}

/// The names are those of `bench --inject`.
const FAULTS: [Fault; 9] = [
    Fault {
        name: "fsync-per-file",
        args: "--driver overlay2 --workload build --quick",
        seen_by: ("build", "device_flushes"),
    },
    Fault {
        name: "copy-for-reflink",
        args: "--driver vfs --driver-opt copy=reflink --testbed loop:xfs --workload build --quick",
        seen_by: ("build", "device_written_bytes"),
    },
    Fault {
        name: "metacopy-off",
        args: "--driver overlay2 --driver-opt metacopy=on --driver-opt redirect_dir=on --workload copyup --quick",
        seen_by: ("copyup", "allocated_bytes"),
    },
    Fault {
        name: "redirect-off",
        args: "--driver overlay2 --driver-opt redirect_dir=on --workload copyup --quick",
        seen_by: ("copyup", "allocated_bytes"),
    },
    Fault {
        name: "chunk-512k",
        args: "--driver devicemapper --workload copyup --quick",
        seen_by: ("copyup", "allocated_intercept"),
    },
    Fault {
        name: "copy-twice",
        args: "--driver vfs --workload lifecycle --quick",
        seen_by: ("lifecycle", "device_written_bytes"),
    },
    Fault { name: "diff-walks-base", args: "--driver overlay2 --workload diff --quick", seen_by: ("diff", "examined") },
    Fault {
        name: "fsync-strict",
        args: "--driver overlay2 --workload commit --quick",
        seen_by: ("commit", "device_flushes"),
    },
    Fault { name: "sleep-30", args: "--driver overlay2 --workload lifecycle --quick", seen_by: ("lifecycle", "wall") },
];

/// The faults of these names, with commas; `all` for all of them.
fn chosen(names: &str) -> Result<Vec<&'static Fault>> {
    if names == "all" {
        return Ok(FAULTS.iter().collect());
    }
    let find = |name: &str| {
        let known = FAULTS.iter().map(|fault| fault.name);
        let found = FAULTS.iter().find(|fault| fault.name == name);
        found.ok_or_else(|| Failure::usage(nearest::unknown("fault", name, known)))
    };
    names.split(',').map(find).collect()
}

/// Runs the faults that this machine can run against this program without them; `common` is for both sides. One that was asked for
/// by name and cannot run here is a failure, lest a gate passes by trying nothing.
pub fn faults(names: &str, out: &Path, common: &[OsString]) -> Result {
    let chosen = chosen(names)?;
    let stop = signals::stop_flag()?;
    let mut text = format!("{:<18} {:>7}  by\n", "fault", "caught");
    let (mut missed, mut impossible) = (Vec::new(), Vec::new());
    for fault in chosen {
        let args: Vec<OsString> = common.iter().cloned().chain(fault.args.split(' ').map(Into::into)).collect();
        say(fault.name);
        let with: Vec<OsString> = args.iter().cloned().chain(["--inject".into(), fault.name.into()]).collect();
        let dir = out.join(fault.name);
        let caught = match caught(fault, &Program::this(&args)?, &Program::this(&with)?, &dir, &stop) {
            // Such as devicemapper on a kernel without it.
            Err(Failure::Environment(why)) => {
                _ = writeln!(text, "{:<18} {:>7}  cannot run here: {why}", fault.name, "-");
                impossible.push(fault.name);
                continue;
            }
            caught => caught?,
        };
        let line = caught.as_deref().unwrap_or("nothing");
        _ = writeln!(text, "{:<18} {:>7}  {line}", fault.name, if caught.is_some() { "yes" } else { "NO" });
        if caught.is_none() {
            missed.push(fault.name);
        }
    }
    print(&text)?;
    if !missed.is_empty() {
        return Err(Failure::failed(format!("the gate lets through: {}", missed.join(", "))));
    }
    if names != "all" && !impossible.is_empty() {
        return Err(Failure::usage(format!("cannot run here: {}; the table says why", impossible.join(", "))));
    }
    Ok(())
}

/// The cell that saw it, and how; `None` if none of those that should did.
fn caught(
    fault: &Fault,
    base: &Program,
    new: &Program,
    out: &Path,
    stop: &std::sync::atomic::AtomicBool,
) -> Result<Option<String>> {
    let (workload, metric) = fault.seen_by;
    let paired = metric == "wall";
    let [base, new] = if paired {
        Pairs { rounds: 30, seed: 1 }.run(&[base.clone(), new.clone()], out, stop)?
    } else {
        [measured(base, &out.join("base"))?, measured(new, &out.join("new"))?]
    };
    let comparison = compare::compare(&base, &new, &Options { paired, ..Options::default() });
    let regressed: Vec<_> =
        comparison.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Regress).collect();
    let seen = regressed.iter().filter(|judgement| {
        let cell = &judgement.cell;
        cell.workload == workload && cell.metric == metric && (cell.kind == Kind::Time) == paired
    });
    let text = |judgement: &&&compare::Judgement| {
        let side = |side: Option<compare::Side>| side.map_or(0.0, |side| side.median);
        let (old, new) = (side(judgement.base), side(judgement.new));
        format!("{}: {old} -> {new} ({} cells in all)", judgement.cell, regressed.len())
    };
    Ok(seen.max_by(|a, b| growth(a).total_cmp(&growth(b))).as_ref().map(text))
}

fn growth(judgement: &compare::Judgement) -> f64 {
    match (judgement.base, judgement.new) {
        (Some(base), Some(new)) => new.median - base.median,
        _ => 0.0,
    }
}

fn measured(program: &Program, out: &Path) -> Result<Recorded> {
    program.measure(ROUNDS, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_chosen_by_name() {
        assert_eq!(chosen("all").unwrap().len(), FAULTS.len());
        let two = chosen("copy-twice,diff-walks-base").unwrap();
        assert_eq!(two.iter().map(|fault| fault.name).collect::<Vec<_>>(), ["copy-twice", "diff-walks-base"]);
        assert!(chosen("copy-twise").unwrap_err().to_string().contains("copy-twice"));
    }

    #[test]
    fn every_mistake_has_its_fault() {
        let names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names, driver_inject::Mistake::ALL.map(driver_inject::Mistake::name));
    }
}
