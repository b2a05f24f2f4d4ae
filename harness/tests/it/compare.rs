//! The gate on real measurements: a run twice passes, a driver that became dearer does not.

use crate::place::{Answer, Place};

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
