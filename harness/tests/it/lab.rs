//! Commands in a virtual machine. Each boot is emulated, so there are few.

use std::process::Command;

use crate::place::{Answer, Place, entries, program};

fn lab(place: &Place, options: &[&str], args: &[&str]) -> Answer {
    let mut command = Command::new(program());
    command.args(["lab", "--accel", "tcg", "--root"]).arg(place.root()).args(options).arg("--").args(args);
    Answer::of(&command.current_dir(place.dir.path()).output().unwrap())
}

#[test]
fn a_kernel_with_device_mapper_runs_what_this_one_may_not() {
    let place = Place::new();
    let answer = lab(&place, &[], &["list"]).ok();
    let usable = |name: &str| answer.out.lines().any(|line| line.starts_with(name) && line.ends_with("yes"));
    assert!(usable("devicemapper") && usable("overlay2"), "{answer:#?}");
    assert_eq!(answer.err, "");
    assert_eq!(entries(&place.root()), 0, "something was left behind");
}

#[test]
fn a_run_directory_comes_back() {
    let place = Place::new();
    let args = ["--driver", "vfs,overlay2", "--workload", "empty", "--quick", "--format", "csv", "--out", "runs/one"];
    let answer = lab(&place, &["--timeout", "600"], &args).ok();
    let out = place.dir.path().join("runs/one");
    assert_eq!(answer.out, std::fs::read_to_string(out.join("summary.csv")).unwrap());
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["outcome"], "complete");
    let here = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_ne!(record["host"]["kernel"], here.trim());
    // The same place is taken now, which is told before anything boots.
    lab(&place, &[], &args).status_is(2).says("runs/one");
}

#[test]
fn mistakes_are_told_before_anything_boots() {
    let place = Place::new();
    lab(&place, &[], &["benhc"]).status_is(2).says("bench");
    lab(&place, &[], &["lab", "--", "list"]).status_is(2).says("lab in the lab");
    lab(&place, &["--kernel", "1.2"], &["list"]).status_is(2).says("apt-get install");
    lab(&place, &["--kernel", "/etc/passwd"], &["list"]).status_is(2).says("no kernel image");
    lab(&place, &["--memory", "1m"], &["list"]).status_is(2).says("256 MiB");
    lab(&place, &["--share", "/etc/passwd"], &["list"]).status_is(2).says("no directory");
    assert!(lab(&place, &[], &["bench", "--help"]).ok().out.contains("--workload"));
}
