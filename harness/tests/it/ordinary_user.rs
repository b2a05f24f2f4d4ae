//! The same without being root: in a user namespace, with one id.

use std::{os::unix::fs::PermissionsExt, process::Command};

use crate::place::{Answer, Place, program};

/// As nobody, who has no subordinate ids.
fn as_nobody(place: &Place, args: &[&str]) -> Answer {
    let home = place.dir.path().join("home");
    if !home.exists() {
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
        // Where the program was built need not be readable for everybody.
        std::fs::copy(program(), place.dir.path().join("harness")).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(place.dir.path().join("harness")).args(args).current_dir(&home);
    command.env("HOME", &home).env_remove("XDG_DATA_HOME");
    Answer::of(&command.output().unwrap())
}

#[test]
fn privileged_an_ordinary_user_builds_and_runs() {
    let place = Place::new();
    for driver in ["overlay2", "vfs"] {
        let dockerfile = "FROM host\nCOPY f /f\nRUN rm /f && echo made > /g\nCMD cat /g\n";
        let context = place.context(&[("Dockerfile", dockerfile), ("f", "x")]);
        as_nobody(&place, &["build", "--driver", driver, "-t", "mine", context.to_str().unwrap()]).ok();
        let ran = as_nobody(&place, &["run", "--driver", driver, "--rm", "mine"]).ok();
        assert_eq!(ran.out, "made\n");
        let id = as_nobody(&place, &["run", "--driver", driver, "--rm", "host", "id", "-u"]).ok();
        assert_eq!(id.out, "0\n");
    }
}

#[test]
fn privileged_an_ordinary_user_measures_without_device_counters() {
    let place = Place::new();
    let answer = as_nobody(&place, &["--driver", "all", "--workload", "build", "--quick"]).ok();
    assert!(answer.out.contains("overlay2") && answer.out.contains("vfs"), "{answer:?}");
    answer.says("no device counters");
}
