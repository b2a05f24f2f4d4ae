use std::collections::BTreeMap;

use super::*;
use crate::{DriverRecord, Fingerprint, RunRecord, SCHEMA, Sample, Unit};

fn sample(round: u32, workload: &str, metric: &str, value: f64, kind: Kind) -> Sample {
    Sample {
        schema: SCHEMA,
        run: "r".to_owned(),
        driver: "vfs".to_owned(),
        workload: workload.to_owned(),
        params: "case=many".parse().unwrap(),
        round,
        phase: "all".to_owned(),
        metric: metric.to_owned(),
        value,
        unit: if kind == Kind::Time { Unit::Seconds } else { Unit::Count },
        kind,
    }
}

pub(super) fn recorded(samples: Vec<Sample>) -> Recorded {
    let testbed = serde_json::json!({"file_system": "ext4", "device_size": 1024});
    let record = RunRecord {
        schema: SCHEMA,
        run: "20260101-000000-abcdef".to_owned(),
        command: vec!["harness".to_owned()],
        directory: std::path::PathBuf::new(),
        version: "1".to_owned(),
        commit: None,
        host: Fingerprint { kernel: "6.1".to_owned(), ..Fingerprint::default() },
        drivers: BTreeMap::from([("vfs".to_owned(), DriverRecord { status: BTreeMap::new(), testbed })]),
        unusable: BTreeMap::new(),
        left_out: BTreeMap::new(),
        images: BTreeMap::from([("host".to_owned(), "sha256:1".to_owned())]),
        workloads: BTreeMap::new(),
        measured: BTreeMap::new(),
        seed: 1,
        rounds: 3,
        warmup: 0,
        start: String::new(),
        resumed: Vec::new(),
        end: None,
        outcome: Some("complete".to_owned()),
    };
    Recorded { record, samples }
}

pub(super) fn run(flushes: f64, wall: f64) -> Recorded {
    let samples = (1..=12).flat_map(|round| {
        [
            sample(round, "commit", "device_flushes", flushes, Kind::Counter),
            sample(round, "commit", "wall", wall, Kind::Time),
        ]
    });
    recorded(samples.collect())
}

fn compared(base: &Recorded, new: &Recorded) -> Comparison {
    compare(base, new, &Options::default())
}

#[test]
fn the_same_passes() {
    let comparison = compared(&run(4.0, 1.0), &run(4.0, 1.0));
    assert!(comparison.is_passed());
    assert_eq!(comparison.counts(), BTreeMap::from([(Verdict::Pass, 1)]));
    assert_eq!(comparison.notable().count(), 0);
}

#[test]
fn more_flushes_fail_and_slower_rounds_of_another_run_do_not() {
    let comparison = compared(&run(4.0, 1.0), &run(40.0, 9.0));
    assert_eq!(comparison.verdict(), Verdict::Regress);
    assert_eq!(comparison.judgements.len(), 1, "times of runs that are no pairs are not judged");
    let paired = Options { paired: true, ..Options::default() };
    let comparison = compare(&run(4.0, 1.0), &run(4.0, 9.0), &paired);
    let worst: Vec<_> = comparison.notable().map(|judgement| judgement.cell.to_string()).collect();
    assert_eq!(worst, ["vfs commit[case=many] all wall"]);
    assert!(!comparison.is_passed());
}

#[test]
fn what_is_made_of_times_that_are_judged_is_not_judged_again() {
    let transactions = |slower: f64| {
        let mut samples = Vec::new();
        for round in 1..=12 {
            samples.extend((1..=6).map(|number| Sample {
                phase: "transaction".to_owned(),
                ..sample(round, "database", "wall", 1.0 + slower * f64::from(number), Kind::Time)
            }));
        }
        recorded(samples)
    };
    let (flat, steep) = (transactions(0.001), transactions(0.002));
    assert!(flat.with_derived().iter().any(|sample| sample.metric == "wall_slope"));
    let comparison = compare(&flat, &steep, &Options { paired: true, ..Options::default() });
    // Twice the slope, and hardly another time.
    assert!(comparison.is_passed(), "{:?}", comparison.judgements);
    assert_eq!(comparison.judgements.len(), 1);
}

#[test]
fn another_kernel_file_system_or_base_image_is_refused() {
    let base = run(4.0, 1.0);
    let differs = |change: fn(&mut RunRecord)| {
        let mut new = base.clone();
        change(&mut new.record);
        assert_ne!(fingerprint(&base.record), fingerprint(&new.record));
        let comparison = compared(&base, &new);
        assert!(!comparison.is_passed() && comparison.judgements.is_empty());
        comparison.refused[0].what.clone()
    };
    assert_eq!(differs(|record| record.host.kernel = "6.12".to_owned()), "kernel");
    assert_eq!(
        differs(|record| record.drivers.get_mut("vfs").unwrap().testbed["file_system"] = "xfs".into()),
        "testbed of vfs: file system"
    );
    assert_eq!(
        differs(|record| record.images = BTreeMap::from([("host".to_owned(), "sha256:2".to_owned())])),
        "base image host"
    );
}

#[test]
fn the_options_under_test_may_differ() {
    let mut new = run(4.0, 1.0);
    new.record.drivers.get_mut("vfs").unwrap().status.insert("copy".to_owned(), "reflink".to_owned());
    assert!(compared(&run(4.0, 1.0), &new).is_passed());
}

#[test]
fn a_cell_that_went_away_fails_and_a_workload_that_was_not_asked_for_is_told() {
    let both = |workloads: &[&str], metrics: &[&str]| {
        let samples = workloads
            .iter()
            .flat_map(|workload| metrics.iter().map(|metric| sample(1, workload, metric, 1.0, Kind::Counter)));
        recorded(samples.collect())
    };
    let base = both(&["commit", "diff"], &["device_flushes", "device_writes"]);
    let comparison = compared(&base, &both(&["commit", "diff"], &["device_flushes"]));
    assert_eq!(comparison.verdict(), Verdict::Incomparable);
    let comparison = compared(&both(&["commit", "diff"], &["device_flushes"]), &base);
    assert_eq!(comparison.verdict(), Verdict::Warn, "a first measurement is told, and no failure");
    let comparison = compared(&base, &both(&["commit"], &["device_flushes", "device_writes"]));
    assert!(comparison.is_passed());
    assert_eq!(comparison.unmatched, ["vfs diff (only in the base)"]);
    assert!(!compared(&base, &both(&["apply"], &["device_flushes"])).is_passed(), "nothing was compared");
}
