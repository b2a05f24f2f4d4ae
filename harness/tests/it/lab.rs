//! Commands in a virtual machine. Each boot is emulated, so there are few.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::place::{Answer, Place, entries, program};

fn lab(place: &Place, options: &[&str], args: &[&str]) -> Answer {
    let mut command = Command::new(program());
    // Two emulated processors wait for each other.
    command
        .args(["lab", "--accel", "tcg", "--cpus", "1", "--root"])
        .arg(place.root())
        .args(options)
        .arg("--")
        .args(args);
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
    assert_eq!(answer.out, fs::read_to_string(out.join("summary.csv")).unwrap());
    let record: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["outcome"], "complete");
    let here = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
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

#[test]
fn where_kvm_hangs_guests_are_emulated() {
    let place = Place::new();
    // A QEMU whose guests never come up with KVM.
    let bin = place.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("qemu-system-x86_64")).find(|path| path.exists());
    let real = real.expect("install qemu-system-x86");
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *'-accel kvm'*) exec sleep 1000;; esac\nexec {} \"$@\"\n", real.display());
    fs::write(bin.join("qemu-system-x86_64"), script).unwrap();
    fs::set_permissions(bin.join("qemu-system-x86_64"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program());
    command.args(["lab", "--root"]).arg(place.root()).args(["--", "list"]);
    let paths = [bin].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).unwrap());
    let answer = Answer::of(&command.current_dir(place.dir.path()).output().unwrap()).ok();
    assert!(answer.out.contains("devicemapper"), "{answer:#?}");
    // Without KVM nobody tries it.
    let has_kvm = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    assert_eq!(answer.err.contains("no guest comes up with kvm"), has_kvm, "{answer:#?}");
}

#[test]
fn privileged_a_kernel_without_device_mapper_names_the_lab() {
    let place = Place::new();
    let misc = fs::read_to_string("/proc/misc").unwrap();
    let answer = place.run(&["--driver", "devicemapper", "--workload", "empty", "--quick"]);
    if misc.contains("device-mapper") {
        answer.ok();
    } else {
        answer.status_is(2).says("harness lab");
    }
}

#[test]
fn two_kernels_are_two_columns() {
    let place = Place::new();
    let small =
        ["--workload", "layers", "--param", "depths=1,2", "--param", "files=50", "--runs", "1", "--warmup", "0"];
    let args = [&["--driver", "vfs,overlay2", "--quick", "--out", "two"][..], &small].concat();
    let answer = lab(&place, &["--kernel", "6.1", "--kernel", "6.12"], &args).ok();
    let out = place.dir.path().join("two");
    let summary = fs::read_to_string(out.join("summary.csv")).unwrap();
    for column in ["vfs@6.1.", "vfs@6.12.", "overlay2@6.1.", "overlay2@6.12."] {
        assert!(summary.lines().any(|line| line.starts_with(column)), "no {column} in {summary}\n{answer:#?}");
    }
    assert_eq!(entries(&out.join("kernels")), 2);
    assert!(entries(&out.join("charts")) >= 2);
}
