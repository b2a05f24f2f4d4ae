//! Wrong names, wrong files, wrong places: one clear line, the right status, nothing lost.

use std::fs;

use crate::place::{Answer, Place};

#[test]
fn unknown_names_are_told_with_the_nearest() {
    let place = Place::new();
    place.run(&["--driver", "overlay3"]).status_is(2).says("did you mean overlay2?");
    place.run(&["--driver", "vfs", "--workload", "biuld"]).status_is(2).says("did you mean build?");
    place.run(&["--driver", "vfs", "--param", "fils=3"]).status_is(2).says("files");
    place.run(&["--driver", "vfs", "--driver-opt", "cpy=x"]).status_is(2).says("copy");
    let here = format!("dir:{}", place.dir.path().join("beds").display());
    place.run(&["--driver", "btrfs", "--testbed", &here]).status_is(2).says("--testbed loop:btrfs");
    place.run(&["--driver", "vfs", "--testbed", "lop"]).status_is(2).says("dir:PATH");
    place.run(&[]).status_is(2).says("name a driver");
}

#[test]
fn options_of_drivers_that_are_not_there_are_refused() {
    let place = Place::new();
    let run = |option: &str| place.run(&["--driver", "overlay2,vfs", "--driver-opt", option]).status_is(2);
    run("overlya2:metacopy=on").says("did you mean overlay2?");
    run("btrfs:quota=off").says("is for btrfs");
    assert!(!place.dir.path().join("results").exists(), "a run directory stays");
}

#[test]
fn privileged_a_run_that_cannot_begin_leaves_no_directory() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let run =
        |args: &[&str]| place.run(&[&["--driver", "vfs", "--quick", "--out", out.to_str().unwrap()], args].concat());
    run(&["--param", "files=many"]).status_is(2).says("files");
    run(&["--param", "device=never"]).status_is(2).says("step or build");
    run(&["--testbed", "dev:/nonexistent"]).status_is(2).says("/nonexistent");
    assert!(!out.exists(), "a run directory stays");
}

#[test]
fn privileged_what_no_driver_can_work_on_is_told() {
    let place = Place::new();
    fs::create_dir_all(place.root()).unwrap();
    let mount = |args: &[&str]| std::process::Command::new("mount").args(args).arg(place.root()).status().unwrap();
    let umount = || std::process::Command::new("umount").arg(place.root()).status().unwrap();
    // Overlays do not stack as upper directories.
    for dir in ["lower", "upper", "work"] {
        fs::create_dir(place.dir.path().join(dir)).unwrap();
    }
    let dir = place.dir.path().display();
    let options = format!("lowerdir={dir}/lower,upperdir={dir}/upper,workdir={dir}/work");
    assert!(mount(&["-t", "overlay", "-o", &options, "overlay"]).success());
    let context = place.context(&[("Dockerfile", "FROM tiny\nCOPY file /\n"), ("file", "x")]);
    let build = |driver: &str| place.run(&["build", "-q", "--driver", driver, context.to_str().unwrap()]);
    let (refused, btrfs, works) = (build("overlay2"), build("btrfs"), build("vfs"));
    assert!(umount().success());
    for answer in [refused.status_is(2).says("overlay"), btrfs.status_is(2).says("btrfs")] {
        assert_eq!(answer.err.lines().count(), 1, "{answer:#?}");
        assert!(answer.err.contains("--root") || answer.err.contains("--testbed"), "{answer:#?}");
    }
    works.ok();
    // One that takes no files at all.
    assert!(mount(&["-t", "tmpfs", "-o", "ro", "none"]).success());
    let refused = build("vfs");
    assert!(umount().success());
    let refused = refused.status_is(2).says("Read-only file system");
    assert_eq!(refused.err.lines().count(), 1, "{refused:#?}");
}

/// The two calls that mount an overlay, answered as a kernel without it does.
#[test]
fn privileged_a_kernel_without_overlay_is_told() {
    let place = Place::new();
    let context = place.context(&[("Dockerfile", "FROM tiny\nCOPY file /\n"), ("file", "x")]);
    let without = |args: &[&str]| {
        let mut command = std::process::Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsopen,mount:error=ENODEV"])
            .arg(crate::place::program());
        Answer::of(&command.args(args).arg("--root").arg(place.root()).output().expect("install strace"))
    };
    let build = ["build", "-q", "--driver", "overlay2", context.to_str().unwrap()];
    let refused = without(&build).status_is(2).says("this kernel has no overlayfs").says("--driver vfs");
    assert_eq!(refused.err.lines().count(), 1, "{refused:#?}");
    assert!(without(&["list"]).ok().out.contains("no: "), "list says nothing of it");
    // Where no driver was asked for, another one does the work.
    without(&["build", "-q", context.to_str().unwrap()]).ok();
    assert!(place.root().join("drivers/vfs/layers").exists());
}

#[test]
fn images_and_archives_that_are_not_there_are_told() {
    let place = Place::new();
    place.run(&["history", "nosuch"]).status_is(1).says("nosuch");
    place.run(&["import", place.dir.path().to_str().unwrap(), "x"]).status_is(2).says("is a directory");
    place.run(&["import", "/nonexistent.tar", "x"]).status_is(2).says("/nonexistent.tar");
}

#[test]
fn a_used_run_directory_is_not_overwritten() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("samples.csv"), "precious").unwrap();
    place.run(&["--driver", "vfs", "--out", out.to_str().unwrap()]).status_is(2).says("not empty");
    assert_eq!(fs::read_to_string(out.join("samples.csv")).unwrap(), "precious");
}

fn build(place: &Place, dockerfile: &str) -> Answer {
    let context = place.context(&[("Dockerfile", dockerfile), ("file", "x")]);
    place.run(&["build", "--driver", "vfs", context.to_str().unwrap()])
}

#[test]
fn privileged_what_is_wrong_with_a_dockerfile_is_shown_in_it() {
    let place = Place::new();
    build(&place, "FROM tiny\nRUM true\n").status_is(1).says("Dockerfile:2:1").says("did you mean RUN?").says("^^^");
    build(&place, "FROM tiny\nCOPY nothing /\n").status_is(1).says("Dockerfile:2:6").says("not in the build context");
    build(&place, "FROM nosuch\n").status_is(1).says("Dockerfile:1:6").says("nosuch");
    build(&place, "FROM tiny\nADD http://127.0.0.1:1/x /\n").status_is(1).says("Dockerfile:2:5").says("cannot fetch");
    build(&place, "FROM tiny\nCOPY --chown=nobodyatall file /\n").status_is(1).says("nobodyatall");
    place.run(&["build", "/nonexistent"]).status_is(2).says("/nonexistent/Dockerfile");
    assert_eq!(place.run(&["images", "-q"]).ok().out.lines().count(), 1, "only the base is there");
}

#[test]
fn privileged_a_failing_command_is_told_with_its_status_and_last_words() {
    let place = Place::new();
    let answer = build(&place, "FROM host\nRUN echo before && echo the reason >&2 && exit 3\n").status_is(1);
    let answer = answer.says("Dockerfile:2").says("status 3").says("the reason");
    assert!(answer.out.is_empty(), "{answer:?}");
    let layers = place.root().join("drivers/vfs/layers");
    assert_eq!(crate::place::entries(&layers), 1, "the layer of the failed step stayed");
}

#[test]
fn a_damaged_record_is_named_and_nothing_is_deleted() {
    let place = Place::new();
    let container = place.root().join("containers/abc");
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("container.json"), "{").unwrap();
    place.run(&["ps", "-a"]).status_is(2).says("container.json is damaged");
    assert!(container.join("container.json").exists());
}

#[test]
fn privileged_a_damaged_image_is_named() {
    let place = Place::new();
    build(&place, "FROM tiny\n").ok();
    let index = place.root().join("images/index.json");
    fs::write(&index, "nonsense").unwrap();
    place.run(&["images"]).status_is(2).says("index.json");
    assert_eq!(fs::read_to_string(&index).unwrap(), "nonsense");
}

#[test]
fn privileged_memory_that_no_container_starts_in_is_told() {
    let place = Place::new();
    place.container(&["--rm", "--memory", "1"], &["host", "true"]).status_is(125).says("minimum is 6 MiB");
}

#[test]
fn privileged_who_finds_a_drivers_root_in_use_says_so_and_gets_its_turn() {
    let place = Place::new();
    place.container(&["--driver", "vfs", "--rm"], &["host", "true"]).ok();
    // As a long build would.
    let lock = place.root().join("drivers/vfs/lock");
    let mut other =
        std::process::Command::new("flock").arg(lock).args(["sleep", "2"]).spawn().expect("install util-linux");
    std::thread::sleep(std::time::Duration::from_millis(300));
    place.container(&["--driver", "vfs", "--rm"], &["host", "true"]).ok().says("waiting for");
    other.wait().unwrap();
    assert!(place.run(&["ps", "-aq"]).ok().out.is_empty());
}
