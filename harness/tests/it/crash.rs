//! kill -9 at any time: the store opens, and `gc` takes the rest away. Ctrl-C leaves nothing.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::place::{Answer, DRIVERS, Place, entries};

/// The mounts below a directory, and what of a killed command's own is in the data directory.
fn left(place: &Place, below: &Path) -> (Vec<String>, Vec<String>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let below = below.to_str().unwrap();
    let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| point.starts_with(below));
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut own = names(&place.root());
    own.extend(names(&place.root().join("testbeds")));
    own.retain(|name| name.starts_with("harness-") || name.starts_with("elsewhere-"));
    (mounts.map(str::to_owned).collect(), own)
}

/// Starts a command and waits until it has something mounted.
fn mounting(place: &Place, mut command: Command) -> Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while left(place, place.dir.path()).0.is_empty() {
        assert!(Instant::now() < deadline, "it mounts nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn interrupt(child: Child) -> Answer {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    Answer::of(&child.wait_with_output().unwrap())
}

const NOTHING: (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());

#[test]
fn privileged_a_killed_build_leaves_a_store_that_opens() {
    for driver in DRIVERS.into_iter().chain(["btrfs"]) {
        let place = if driver == "btrfs" { Place::on_btrfs() } else { Place::new() };
        let dockerfile =
            "FROM host\nRUN for i in $(seq 300); do echo $i > /f$i; done\nRUN rm /f*\nRUN sleep 1 && touch /end\n";
        let context = place.context(&[("Dockerfile", dockerfile)]);
        let context = context.to_str().unwrap();
        for delay in [10, 30, 60, 100, 150, 250, 400, 700] {
            let mut command = place.command(&["build", "--no-cache", "--driver", driver, context]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            child.kill().unwrap();
            child.wait().unwrap();
            place.run(&["images"]).ok();
        }
        place.run(&["gc", "--cache"]).ok();
        place.run(&["build", "--driver", driver, "-t", "whole", context]).ok();
        place.container(&["--driver", driver, "--rm"], &["whole", "test", "-f", "/end"]).ok();
        for image in place.run(&["images", "-q"]).ok().out.lines() {
            place.run(&["rmi", "--force", image]).ok();
        }
        place.run(&["gc", "--cache"]).ok();
        let layers = place.root().join("drivers").join(driver).join("layers");
        assert_eq!(entries(&layers), 0, "layers stay on {driver}");
    }
}

/// Wherever the drivers' data was.
#[test]
fn privileged_what_killed_commands_leave_is_collected() {
    let conformance = ["conformance", "--driver", "overlay2"];
    let on_loop = ["--driver", "overlay2,vfs", "--runs", "50", "--testbed", "loop:ext4,size=1G"];
    let beds = tempfile::tempdir().unwrap();
    let elsewhere = format!("dir:{}", beds.path().display());
    let in_directory = ["--driver", "overlay2", "--runs", "50", "--testbed", &elsewhere];
    for args in [&conformance[..], &on_loop, &in_directory] {
        let place = Place::new();
        let command = place.command(args);
        let mut child = if args == in_directory {
            let mut command = command;
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(120);
            while left(&place, beds.path()).0.is_empty() {
                assert!(Instant::now() < deadline, "it mounts nothing");
                std::thread::sleep(Duration::from_millis(2));
            }
            child
        } else {
            mounting(&place, command)
        };
        // It is alive, so nothing of its own may go.
        place.run(&["gc"]).ok();
        assert!(child.try_wait().unwrap().is_none(), "it ended when gc ran: {args:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(left(&place, place.dir.path()).1, NOTHING.1, "{args:?}");
        let said = place.run(&["gc"]).ok().out;
        assert!(said.contains("harness-"), "{said}");
        assert_eq!(left(&place, place.dir.path()), NOTHING, "{args:?}: {said}");
        assert_eq!(left(&place, beds.path()).0, NOTHING.0, "{args:?}: {said}");
        assert_eq!(entries(beds.path()), 0, "{args:?}: {said}");
        assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
    }
}

#[test]
fn privileged_an_interrupted_conformance_run_leaves_nothing() {
    let place = Place::new();
    let child = mounting(&place, place.command(&["conformance", "--driver", "overlay2,vfs"]));
    interrupt(child).status_is(130).says("stopped");
    assert_eq!(left(&place, place.dir.path()), NOTHING);
}

#[test]
fn privileged_an_interrupted_build_leaves_nothing() {
    for driver in DRIVERS {
        let place = Place::new();
        place.container(&["--driver", driver, "--rm"], &["host", "true"]).ok();
        let layers = place.root().join("drivers").join(driver).join("layers");
        let blobs = place.root().join("images/blobs/sha256");
        let before = (entries(&layers), entries(&blobs), place.run(&["images", "-q"]).ok().out);
        let dockerfile = "FROM host\nRUN [\"sleep\", \"1234567\"]\n";
        let context = place.context(&[("Dockerfile", dockerfile)]);
        let mut command = place.command(&["build", "--driver", driver, context.to_str().unwrap()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while sleepers().is_empty() {
            assert!(Instant::now() < deadline, "the step does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = interrupt(child).status_is(130);
        assert!(answer.err.lines().last().unwrap().starts_with("harness: "), "{answer:?}");
        assert_eq!(sleepers(), [0; 0], "the step's program lives");
        assert_eq!((entries(&layers), entries(&blobs), place.run(&["images", "-q"]).ok().out), before, "{driver}");
        assert_eq!(left(&place, place.dir.path()), NOTHING);
        assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
    }
}

/// Processes that were started as `sleep 1234567`.
fn sleepers() -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let sleeps = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x001234567\0");
    pids.filter(sleeps).collect()
}

#[test]
fn privileged_a_driver_that_cannot_be_opened_keeps_nobody_from_cleaning_up() {
    let place = Place::new();
    place.run(&["build", "--driver", "vfs", place.context(&[("Dockerfile", "FROM tiny\n")]).to_str().unwrap()]).ok();
    // Its root is not on a btrfs, whoever made it.
    fs::create_dir_all(place.root().join("drivers/btrfs")).unwrap();
    place.run(&["gc", "--cache"]).ok().says("btrfs");
    assert_eq!(entries(&place.root().join("drivers/vfs/layers")), 0, "gc did not come to vfs");
    place.run(&["gc", "--driver", "btrfs"]).status_is(2).says("btrfs");
}
