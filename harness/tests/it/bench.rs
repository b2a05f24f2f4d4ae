//! The main job.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::place::{Answer, Place, program};

const BED: [&str; 2] = ["--testbed", "loop:ext4,size=1G"];

fn rows(out: &Path) -> usize {
    fs::read_to_string(out.join("samples.csv")).unwrap().lines().count()
}

fn nothing_is_left(place: &Place) {
    let testbeds = fs::read_dir(place.root().join("testbeds")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = testbeds.filter(|name| name.to_string_lossy().starts_with("harness-")).collect();
    assert!(left.is_empty(), "{left:?}");
    let scratch = fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = scratch.filter(|name| name.to_string_lossy().starts_with("harness-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn bench(place: &Place, out: &Path, args: &[&str]) -> Answer {
    let mut command = place.command(args);
    Answer::of(&command.arg("--out").arg(out).output().unwrap())
}

#[test]
fn privileged_the_main_job_leaves_a_whole_run_directory() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let answer = bench(&place, &out, &[&["--driver", "all", "--workload", "build", "--quick"], &BED[..]].concat()).ok();
    assert!(answer.out.contains("overlay2") && answer.out.contains("vfs"), "{answer:?}");
    answer.says("btrfs cannot run here").says("devicemapper cannot run here");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record["drivers"]["overlay2"]["testbed"]["file_system"], "ext4");
    assert_eq!(record["drivers"]["vfs"]["status"]["copy"], "copy");
    let summary = fs::read_to_string(out.join("summary.csv")).unwrap();
    for metric in ["device_written_bytes", "copied_up_bytes", "layer_bytes", "wall"] {
        assert!(summary.contains(metric), "no {metric}");
    }
    let charts = fs::read_dir(out.join("charts")).unwrap().count();
    assert!(charts >= 16 && charts.is_multiple_of(2), "{charts} charts");
    assert!(rows(&out) > 100);
    nothing_is_left(&place);
}

#[test]
fn privileged_copy_up_is_counted_where_it_happens() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let args = ["--driver", "overlay2", "--quick", "--param", "dockerfile=tensteps", "--format", "csv"];
    let answer = bench(&place, &out, &[&args[..], &BED[..]].concat()).ok();
    let copied = |step: &str| -> f64 {
        let line = answer.out.lines().find(|line| line.contains(step) && line.contains("copied_up_files"));
        let fields: Vec<_> = line.unwrap_or_else(|| panic!("no {step}: {}", answer.out)).rsplit(',').collect();
        fields[3].parse().unwrap()
    };
    // 400 files in 20 directories: the step appends to, changes the mode of, or renames the 20 of one of them.
    assert_eq!(copied("04 RUN for f in files/d00"), 20.0);
    assert_eq!(copied("05 RUN chmod"), 20.0);
    assert_eq!(copied("06 RUN for f in files/d02"), 20.0);
    assert_eq!(copied("03 RUN mkdir made"), 0.0);
    assert_eq!(copied("07 RUN rm -r"), 0.0);
}

#[test]
fn privileged_ctrl_c_keeps_what_was_measured_and_leaves_nothing() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let mut command = place.command(&[&["--driver", "overlay2,vfs", "--runs", "200"], &BED[..]].concat());
    let child = command.arg("--out").arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    // What it says is read all the time: it must not wait for room in a pipe.
    let reader = std::thread::spawn(move || Answer::of(&child.wait_with_output().unwrap()));
    let deadline = Instant::now() + Duration::from_secs(300);
    while !fs::metadata(out.join("samples.csv")).is_ok_and(|found| found.len() > 10_000) {
        assert!(!reader.is_finished(), "it ended: {:#?}", reader.join());
        assert!(Instant::now() < deadline, "nothing is measured");
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let answer = reader.join().unwrap();
    answer.status_is(130).says("what was measured is kept");
    assert!(rows(&out) > 10);
    assert!(out.join("charts/comparison.svg").exists());
    nothing_is_left(&place);
}

#[test]
fn privileged_a_full_testbed_is_told_and_taken_away() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let args = ["--driver", "vfs", "--quick", "--param", "files=4000", "--testbed", "loop:ext4,size=80M"];
    let answer = bench(&place, &out, &args).status_is(2);
    assert!(answer.err.contains("No space left on device"), "{answer:?}");
    nothing_is_left(&place);
}

/// Not after minutes of writing, and not as a full disk.
#[test]
fn privileged_what_does_not_fit_is_refused_before_anything_is_written() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let copyup = ["--driver", "overlay2,vfs", "--workload", "empty,copyup", "--param", "sizes=4096,1073741824"];
    let started = Instant::now();
    let refused = bench(&place, &out, &[&copyup[..], &["--quick"], &BED[..]].concat()).status_is(2);
    assert!(started.elapsed() < Duration::from_secs(30), "{refused:?}");
    // The first driver of the two is held against its testbed first.
    let refused = refused.says("copyup takes up to 22.9GB on overlay2").says("ask for fewer or smaller sizes");
    let refused = refused.says("--testbed loop:ext4,size=25G");
    assert_eq!(refused.err.lines().count(), 1, "{refused:?}");
    assert!(!out.exists());
    nothing_is_left(&place);
    // Each fits its own, and not all of them one directory.
    let disk = place.dir.path().join("disk");
    let mut mount = Command::new("mount");
    fs::create_dir(&disk).unwrap();
    assert!(mount.args(["-t", "tmpfs", "-o", "size=120M", "none"]).arg(&disk).status().unwrap().success());
    let bed = format!("dir:{}", disk.display());
    let copyup = ["--driver", "overlay2,vfs", "--workload", "copyup", "--param", "sizes=8388608", "--quick"];
    let several = bench(
        &place,
        &out,
        &[&copyup[..], &["--param", "operations=append,chmod,chown"], &["--testbed", &bed]].concat(),
    );
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    several.status_is(2).says("on overlay2, vfs together");
}

/// Nothing but a compiler is asked for: what needs more is left out, with the remedy, unless it was asked for by name.
#[test]
fn privileged_a_machine_without_make_is_told() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let without_make = |args: &[&str]| {
        let script = "mount --bind /dev/null \"$(command -v make)\" && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(program()).args(["--driver", "vfs", "--quick"]);
        command.args(args).args(BED).arg("--root").arg(place.root()).arg("--out").arg(&out);
        Answer::of(&command.output().unwrap())
    };
    let refused = without_make(&["--param", "dockerfile=tutorial"]).status_is(2).says("lacks make");
    refused.says("apt-get install make");
    assert!(!out.exists());
    let answer = without_make(&[]).ok().says("Dockerfile tutorial is left out on vfs").says("apt-get install make");
    assert!(answer.out.contains("tensteps") && !answer.out.contains("tutorial"), "{answer:?}");
    let record = fs::read_to_string(out.join("run.json")).unwrap();
    assert!(record.contains("apt-get install make"), "{record}");
    nothing_is_left(&place);
}

/// A page cache of one's own is what containers on btrfs cost, and no mean over those of a crowd shows it so plainly.
#[test]
fn privileged_the_memory_of_one_more_container_is_a_slope() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let args = ["--driver", "overlay2,btrfs", "--workload", "density", "--quick", "--runs", "1", "--format", "csv"];
    let answer = bench(&place, &out, &args).ok();
    let slope = |driver: &str, metric: &str| -> f64 {
        let start = format!("{driver},density,,one more,{metric},bytes,time,1,");
        let line = answer.out.lines().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("no {start}: {}", answer.out));
        line.split(',').next().unwrap().parse().unwrap()
    };
    let (overlay2, btrfs) = (slope("overlay2", "memory_cgroup_slope"), slope("btrfs", "memory_cgroup_slope"));
    assert!(overlay2 > 50_000.0 && btrfs > 3.0 * overlay2, "{overlay2} bytes and {btrfs} bytes");
    slope("overlay2", "memory_taken_slope");
    assert!(out.join("charts/held.svg").exists());
}
