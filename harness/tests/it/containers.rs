//! The workloads at the level of containers, each with its effects and nothing left behind.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, Place};

/// Runs workloads quickly on both drivers; gives the samples' fields.
fn bench(place: &Place, workload: &str, more: &[&str]) -> (Answer, Vec<Vec<String>>) {
    let out = place.dir.path().join("out");
    let args = [
        "--driver",
        "overlay2,vfs",
        "--workload",
        workload,
        "--quick",
        "--runs",
        "1",
        "--testbed",
        "loop:ext4,size=2G",
    ];
    let answer = Answer::of(&place.command(&[&args[..], more].concat()).arg("--out").arg(&out).output().unwrap());
    let samples = fs::read_to_string(out.join("samples.csv")).unwrap_or_default();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect();
    let samples = samples.lines().skip(1).map(fields).collect();
    nothing_is_left(place);
    (answer, samples)
}

/// Soon: whatever starts a container elsewhere on this machine has a copy of all mounts for a moment, and a loop device goes with
/// the last of them.
fn nothing_is_left(place: &Place) {
    let root = fs::canonicalize(place.root()).unwrap();
    for file in ["/proc/self/mountinfo", "/proc/mounts"] {
        assert!(!fs::read_to_string(file).unwrap().contains(root.to_str().unwrap()), "left mounted");
    }
    let end = Instant::now() + Duration::from_secs(120);
    while let Some(backing) = attached(&root) {
        assert!(Instant::now() < end, "left attached: {backing}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The file of a loop device that is below a directory.
fn attached(root: &Path) -> Option<String> {
    let devices = fs::read_dir("/sys/block").unwrap();
    let backing = devices.filter_map(|device| fs::read_to_string(device.ok()?.path().join("loop/backing_file")).ok());
    backing.map(|file| file.trim().to_owned()).find(|file| Path::new(file).starts_with(root))
}

const PARAMS: usize = 4;
const PHASE: usize = 6;
const METRIC: usize = 7;
const VALUE: usize = 8;

/// The values of a metric on a driver.
fn values(samples: &[Vec<String>], driver: &str, params: &str, phase: &str, metric: &str) -> Vec<f64> {
    let is = |row: &&Vec<String>| {
        row[2] == driver && row[PARAMS].contains(params) && row[PHASE] == phase && row[METRIC] == metric
    };
    samples.iter().filter(is).map(|row| row[VALUE].parse().unwrap()).collect()
}

#[test]
fn privileged_lives_have_all_their_steps() {
    let place = Place::new();
    let (answer, samples) = bench(&place, "lifecycle", &["--param", "parallel=1,16"]);
    answer.ok();
    for driver in ["overlay2", "vfs"] {
        for phase in ["create", "mount", "start", "exec", "exit", "unmount", "remove", "life"] {
            assert_eq!(values(&samples, driver, "level=container;parallel=16", phase, "wall").len(), 16, "{phase}");
        }
        let steps: BTreeSet<_> =
            samples.iter().filter(|row| row[PARAMS].contains("level=driver")).map(|row| row[PHASE].as_str()).collect();
        assert_eq!(steps, BTreeSet::from(["all", "create", "life", "mount", "remove", "unmount"]));
    }
}

#[test]
fn privileged_many_containers_are_alive_and_gone() {
    let place = Place::new();
    let (answer, samples) = bench(&place, "density", &["--param", "containers=24"]);
    answer.ok();
    let one = |driver: &str, metric: &str| values(&samples, driver, "containers=24", "alive", metric)[0];
    assert_eq!((one("overlay2", "layers"), one("vfs", "layers")), (24.0, 24.0));
    assert_eq!((one("overlay2", "mounts"), one("vfs", "mounts")), (24.0, 0.0));
    // A copy of the image each, or nothing but directories.
    assert!(one("vfs", "disk_bytes") > 24e6 && one("overlay2", "disk_bytes") < 5e6);
    for cell in ["alive=0001", "alive=0016", "alive=0032"] {
        assert!(!values(&samples, "vfs", cell, "one more", "wall").is_empty(), "{cell}");
    }
    // Without cgroups it runs as well.
    fs::remove_dir_all(place.dir.path().join("out")).unwrap();
    let (answer, samples) = bench(&place, "density", &["--param", "accounting=no", "--param", "containers=3"]);
    answer.ok();
    assert!(values(&samples, "vfs", "", "alive", "memory_cgroup_bytes").is_empty());
}

#[test]
fn privileged_churn_leaves_nothing() {
    let place = Place::new();
    let (answer, samples) = bench(&place, "churn", &["--param", "iterations=4"]);
    answer.ok();
    for metric in ["mounts", "loop_devices", "cgroups", "descriptors", "layers"] {
        assert_eq!(values(&samples, "overlay2", "", "leaks", &format!("{metric}_slope")), [0.0], "{metric}");
    }
    assert_eq!(values(&samples, "vfs", "", "build", "wall").len(), 4);
    assert_eq!(values(&samples, "vfs", "", "leaks", "disk_bytes_slope").len(), 1);
}

#[test]
fn privileged_databases_wait_for_the_disk() {
    let place = Place::new();
    let (answer, samples) = bench(&place, "database", &["--param", "fio=no"]);
    answer.ok();
    for journal in ["wal", "delete"] {
        for file in ["image", "new"] {
            let cell = format!("file={file};journal={journal}");
            let all = |driver: &str, metric: &str| values(&samples, driver, &cell, "all", metric)[0];
            assert!(all("overlay2", "flushes_per_transaction") >= 1.0, "{cell}");
            assert_eq!(values(&samples, "vfs", &cell, "transaction", "wall").len(), 9, "{cell}");
            let copied = all("overlay2", "copied_up_files");
            assert_eq!(copied, if file == "image" { 1.0 } else { 0.0 }, "{cell}");
        }
    }
}

#[test]
fn privileged_fio_is_used_where_it_is_installed_and_named_where_not() {
    let fio = Path::new("/usr/bin/fio");
    assert!(fio.exists(), "install fio");
    let place = Place::new();
    let small = ["--param", "journal=wal", "--param", "file=new"];
    let (answer, samples) = bench(&place, "database", &small);
    answer.ok();
    let row = samples.iter().find(|row| row[PARAMS].contains("fio=fio-")).expect("the version is in the cell");
    assert_eq!(values(&samples, &row[2], &row[PARAMS], "fdatasync", "mean").len(), 1);

    // A search path with everything that is needed but fio.
    let tools = place.dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    for dir in ["/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
            let name = entry.file_name();
            if name != "fio" && !tools.join(&name).exists() {
                let _ = std::os::unix::fs::symlink(entry.path(), tools.join(&name));
            }
        }
    }
    let out = place.dir.path().join("without");
    let args = ["--driver", "vfs", "--workload", "database", "--quick", "--testbed", "loop:ext4,size=1G"];
    let mut command = place.command(&[&args[..], &small].concat());
    let answer = Answer::of(&command.env("PATH", &tools).arg("--out").arg(&out).output().unwrap());
    answer.ok().says("fio is not installed");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let why = record["left_out"]["vfs"].as_object().unwrap().values().next().unwrap();
    assert!(why.as_str().unwrap().contains("install the package fio"), "{record}");
}
