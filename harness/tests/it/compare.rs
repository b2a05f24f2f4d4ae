//! The gate on real measurements: a run twice passes, a driver that became dearer does not.

use std::process::Command;

use crate::place::{Answer, Place, program};

/// As many rounds as the gate fails by.
const WORKLOAD: [&str; 6] = ["--workload", "diff", "--quick", "--runs", "3", "--format"];

fn bench(place: &Place, driver: &str, out: &str, options: &[&str]) {
    place.run(&[&["bench", "--driver", driver, "--out", out], &WORKLOAD[..], &["none"], options].concat()).ok();
}

fn compare(place: &Place, new: &str, options: &[&str]) -> Answer {
    place.run(&[&["compare", "base", new], options].concat())
}

#[test]
fn privileged_the_same_twice_counts_the_same() {
    let place = Place::new();
    bench(&place, "overlay2,vfs,btrfs", "base", &[]);
    bench(&place, "overlay2,vfs,btrfs", "new", &[]);
    let answer = compare(&place, "new", &["--format", "json"]);
    assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
    let found: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let judged = found["judgements"].as_array().map_or(0, Vec::len);
    assert!(judged > 50, "{judged} cells are not a comparison: {found:#}");
}

#[test]
fn privileged_a_diff_that_walks_the_base_is_stopped() {
    let place = Place::new();
    bench(&place, "overlay2", "base", &[]);
    bench(&place, "overlay2", "new", &["--inject", "diff-walks-base"]);
    let answer = compare(&place, "new", &[]);
    assert_eq!(answer.status, 1, "{}{}", answer.out, answer.err);
    assert!(answer.out.contains("regress") && answer.out.contains("examined"), "{}", answer.out);
}

#[test]
fn privileged_runs_with_other_contents_are_refused_with_the_way_out() {
    let place = Place::new();
    bench(&place, "vfs", "base", &[]);
    bench(&place, "vfs", "new", &["--seed", "2"]);
    let answer = compare(&place, "new", &[]);
    assert_eq!(answer.status, 1, "{}{}", answer.out, answer.err);
    let said = answer.out + &answer.err;
    assert!(said.contains("seed") && said.contains("--rebase"), "{said}");
}

/// A check of one fault that tries nothing must not look like one that caught it.
#[test]
fn privileged_a_fault_asked_for_by_name_that_cannot_run_here_is_no_pass() {
    let place = Place::new();
    // Where there is no mkfs.xfs.
    let script = "mount --bind /dev/null \"$(PATH=$PATH:/usr/sbin:/sbin command -v mkfs.xfs)\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(program()).arg("--root").arg(place.root());
    command.args(["compare", "--faults=copy-for-reflink", "--out"]).arg(place.dir.path().join("faults"));
    let answer = Answer::of(&command.output().unwrap()).status_is(2);
    assert!(answer.out.contains("cannot run here: "), "{answer:?}");
    answer.says("cannot run here: copy-for-reflink");
}

/// What two runs of one program may differ by: bytes by 1 % or 64 KiB, requests and flushes by 2 % or 2.
fn may_differ(unit: &str, median: f64) -> f64 {
    if unit == "bytes" { (0.01 * median).max(65_536.0) } else { (0.02 * median).max(2.0) }
}

/// What does not repeat so exactly, and why.
fn is_known(driver: &str, metric: &str) -> bool {
    // Its trees split as files happen to be written back; read-ahead is a guess; a buffer may end elsewhere.
    driver == "btrfs" || metric.starts_with("device_read") || metric == "syscalls"
}

#[test]
fn privileged_everything_twice_repeats_within_a_hundredth() {
    // Containers start when the scheduler lets them, and what takes long meets the journal's own commits: those workloads are
    // held against the reference run, with what each cell of theirs varies by itself.
    const EXACT: &str = "apply,commit,copyup,delete,diff,empty,layers,metadata";
    let place = Place::new();
    let medians = |out: &str| -> std::collections::BTreeMap<String, f64> {
        let args = ["bench", "--driver", "overlay2,vfs,btrfs", "--workload", EXACT, "--quick", "--out", out];
        place.run(&[&args[..], &["--format", "none", "--testbed", "loop,size=2G"]].concat()).ok();
        let summary = std::fs::read_to_string(place.dir.path().join(out).join("summary.csv")).unwrap();
        let cell = |line: &str| {
            // driver,workload,params,phase,metric,unit,kind,n,median: none of these has a comma here.
            let fields: Vec<&str> = line.split(',').collect();
            let counted = fields[6] == "counter" && !is_known(fields[0], fields[4]);
            counted.then(|| (fields[..6].join(","), fields[8].parse().unwrap()))
        };
        summary.lines().skip(1).filter_map(cell).collect()
    };
    let (base, new) = (medians("base"), medians("new"));
    assert!(base.len() > 600, "{} cells are not a comparison", base.len());
    assert!(base.keys().eq(new.keys()), "the same cells");
    for (cell, base) in base {
        let (new, unit) = (new[&cell], cell.rsplit(',').next().unwrap_or_default());
        assert!((new - base).abs() <= may_differ(unit, base.max(new)), "{cell}: {base} and then {new}");
    }
}
