//! Runs that are interrupted and gone on with.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Answer, Place};

const ARGS: [&str; 14] = [
    "--driver",
    "overlay2,vfs",
    "--workload",
    "empty,lifecycle",
    "--runs",
    "12",
    "--testbed",
    "loop:ext4,size=512M",
    "--param",
    "parallel=1,4",
    "--param",
    "serial=1",
    "--format",
    "csv",
];

/// Starts a run and lets it measure a few rounds of its second workload.
fn begin(place: &Place, out: &Path) -> Child {
    let mut command = place.command(&ARGS);
    let child = command.arg("--out").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while measured(out, "lifecycle") < 4 {
        assert!(Instant::now() < deadline, "nothing is measured");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn record(out: &Path) -> serde_json::Value {
    fs::read(out.join("run.json"))
        .map_or_else(|_| serde_json::Value::Null, |json| serde_json::from_slice(&json).unwrap())
}

/// Rounds that are measured whole, of both drivers together.
fn measured(out: &Path, workload: &str) -> u64 {
    let record = record(out);
    ["overlay2", "vfs"].iter().filter_map(|driver| record["measured"][workload][driver].as_u64()).sum()
}

fn end(child: Child, signal: Signal) -> Answer {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
    Answer::of(&child.wait_with_output().unwrap())
}

fn resume(place: &Place, out: &Path) -> Answer {
    // The run's own arguments say where everything is, wherever this is called.
    let mut command = Command::new(crate::place::program());
    Answer::of(&command.arg("--resume").arg(out).current_dir(place.dir.path()).output().unwrap())
}

/// Rows of each round: workload, driver, round.
fn rows(out: &Path) -> BTreeMap<(String, String, u32), usize> {
    let text = fs::read_to_string(out.join("samples.csv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().skip(1) {
        let field: Vec<_> = line.split(',').collect();
        *rows.entry((field[3].to_owned(), field[2].to_owned(), field[5].parse().unwrap())).or_default() += 1;
    }
    rows
}

/// Every round is there, once, whole.
fn is_whole(out: &Path) {
    let rows = rows(out);
    for workload in ["empty", "lifecycle"] {
        for driver in ["overlay2", "vfs"] {
            let of = |round| rows.get(&(workload.to_owned(), driver.to_owned(), round)).copied().unwrap_or(0);
            assert!(of(1) > 5, "{workload} {driver}: {rows:?}");
            assert!((1..=12).all(|round| of(round) == of(1)), "{workload} {driver}: {rows:?}");
            assert_eq!(of(13), 0);
        }
    }
    let record = record(out);
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record["resumed"].as_array().unwrap().len(), 1);
}

fn nothing_is_left(place: &Place) {
    let testbeds = fs::read_dir(place.root().join("testbeds")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = testbeds.filter(|name| name.to_string_lossy().starts_with("harness-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn privileged_an_interrupted_run_is_gone_on_with() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let answer = end(begin(&place, &out), Signal::INT);
    answer.status_is(130).says("--resume");
    nothing_is_left(&place);
    assert_eq!(record(&out)["outcome"], "interrupted");
    let before = rows(&out);
    assert!(before.len() < 48, "it was over before it could be interrupted");

    let other = Answer::of(
        &Command::new(crate::place::program()).arg("--resume").arg(&out).args(["--runs", "3"]).output().unwrap(),
    );
    other.status_is(2).says("--resume");
    let answer = resume(&place, &out).ok();
    assert!(answer.out.starts_with("driver,workload,"), "the format is that of the run: {}", answer.out);
    is_whole(&out);
    nothing_is_left(&place);
    // What was measured whole is what it was.
    let kept: Vec<_> = before.iter().filter(|((workload, ..), _)| workload == "empty").collect();
    assert_eq!(kept.len(), 24);
    resume(&place, &out).status_is(2).says("it is complete");
}

#[test]
fn privileged_a_killed_run_is_gone_on_with() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let child = begin(&place, &out);
    resume(&place, &out).status_is(2).says("another run is writing");
    end(child, Signal::KILL);
    resume(&place, &out).ok();
    is_whole(&out);
    // What the kill left is for gc.
    place.run(&["gc"]).ok();
    nothing_is_left(&place);
}

#[test]
fn what_is_no_run_cannot_be_resumed() {
    let place = Place::new();
    resume(&place, &place.dir.path().join("nothing")).status_is(2).says("run.json");
}
