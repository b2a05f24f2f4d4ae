//! The same without being root: in a user namespace, with one id and with many.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use crate::place::{Answer, Place, program};

const NOBODY: u32 = 65534;
/// Known to none of the host's files.
const MAPPED: u32 = 54321;

/// A home for the user, and a program that everybody may execute: where it was built need not be readable for everybody.
fn home(place: &Place, user: u32) -> PathBuf {
    let home = place.dir.path().join("home");
    if !home.exists() {
        fs::create_dir(&home).unwrap();
        fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(&home, Some(user), Some(user)).unwrap();
        fs::copy(program(), place.dir.path().join("harness")).unwrap();
    }
    home
}

fn become_user(mut command: Command, place: &Place, user: u32, args: &[&str]) -> Answer {
    let home = home(place, user);
    let user = user.to_string();
    command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    command.arg(place.dir.path().join("harness")).args(args).current_dir(&home);
    command.env("HOME", &home).env_remove("XDG_DATA_HOME");
    Answer::of(&command.output().unwrap())
}

/// As nobody, who has no subordinate ids.
fn as_nobody(place: &Place, args: &[&str]) -> Answer {
    become_user(Command::new("env"), place, NOBODY, args)
}

/// As a user with 65,536 subordinate ids, of whom only this mount namespace knows.
fn as_mapped(place: &Place, args: &[&str]) -> Answer {
    let files = place.dir.path();
    let users = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(files.join("passwd"), format!("{users}mapped:x:{MAPPED}:{MAPPED}::/:/bin/sh\n")).unwrap();
    for ids in ["subuid", "subgid"] {
        assert!(Path::new("/etc").join(ids).exists(), "install uidmap");
        fs::write(files.join(ids), "mapped:900000:65536\n").unwrap();
    }
    let script = "cd \"$1\" && for f in passwd subuid subgid; do mount --bind $f /etc/$f || exit 99; done; shift; \
                  cd \"$1\"; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(files).arg(home(place, MAPPED));
    become_user(command, place, MAPPED, args)
}

#[test]
fn privileged_without_root_commands_have_loopback_and_that_is_said_once() {
    let place = Place::new();
    home(&place, NOBODY);
    fs::write(place.dir.path().join("Dockerfile"), "FROM host\nRUN true\nRUN true # again\n").unwrap();
    let context = place.dir.path().to_str().unwrap();
    let built = as_nobody(&place, &["build", "--driver", "vfs", context]).ok();
    let warnings: Vec<_> = built.err.lines().filter(|line| line.contains("RUN has loopback alone")).collect();
    assert_eq!(warnings.len(), 1, "{built:#?}");
    assert!(warnings[0].contains("needs root"), "{warnings:?}");
    let silent = as_nobody(&place, &["build", "--driver", "vfs", "--no-cache", "--network", "none", context]).ok();
    assert!(!silent.err.contains("loopback"), "{silent:#?}");
    let refused = as_nobody(&place, &["build", "--driver", "vfs", "--no-cache", "--network", "bridge", context]);
    refused.status_is(2).says("RUN has no network: a bridge network needs root");
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

/// Files of several owners, and steps and containers of several users.
#[test]
fn privileged_an_ordinary_user_with_subordinate_ids_has_other_users_in_containers() {
    let place = Place::new();
    let dockerfile = "FROM host
COPY --chown=1000:1001 f /f
RUN mkdir -m 777 /made && cp -p /f /made/kept && chown 7:8 /made/kept
USER 1000:1001
RUN id -u > /dev/stdout && id -u > /made/who && echo more >> /f
CMD [\"sh\", \"-c\", \"id -u; id -g; cat /made/who /f; stat -c %u:%g /f /made/kept /made/who\"]
";
    let context = place.context(&[("Dockerfile", dockerfile), ("f", "copied\n")]);
    for driver in ["overlay2", "vfs"] {
        as_mapped(&place, &["build", "--driver", driver, "--no-cache", "-t", "many", context.to_str().unwrap()]).ok();
        let ran = as_mapped(&place, &["run", "--driver", driver, "--rm", "many"]).ok();
        assert_eq!(ran.out, "1000\n1001\n1000\ncopied\nmore\n1000:1001\n7:8\n1000:1001\n", "{driver}");
        let root = as_mapped(&place, &["run", "--driver", driver, "--rm", "-u", "0", "many", "id", "-u"]).ok();
        assert_eq!(root.out, "0\n");
        as_mapped(&place, &["run", "--driver", driver, "--rm", "-u", "70000", "many"]).status_is(125).says("subuid");
    }
}

/// Owners that the namespace does not have are refused with what helps, and it does.
#[test]
fn privileged_owners_that_are_not_mapped_are_told_with_the_remedy() {
    let place = Place::new();
    home(&place, NOBODY);
    let tar = place.dir.path().join("rootfs.tar");
    let status = Command::new("tar")
        .args(["-C", "/bin", "--dereference", "--owner=5", "--group=7", "-cf"])
        .arg(&tar)
        .args(["--transform=s,^,bin/,", "busybox"])
        .status();
    assert!(status.unwrap().success(), "install busybox-static");
    as_nobody(&place, &["import", tar.to_str().unwrap(), "owned"]).ok();
    for driver in ["overlay2", "vfs"] {
        let run = ["run", "--driver", driver, "--rm"];
        let program = ["owned", "/bin/busybox", "true"];
        let refused = as_nobody(&place, &[&run[..], &program].concat()).status_is(125);
        refused.says("5:7 is not mapped").says("/etc/subuid").says("owners=squash");
        as_nobody(&place, &[&run[..], &["--driver-opt", "owners=squash"], &program].concat()).ok();
        let user = ["run", "--driver", driver, "--rm", "-u", "1000", "host", "true"];
        as_nobody(&place, &user).status_is(125).says("/etc/subuid");
    }
}

#[test]
fn privileged_an_ordinary_users_containers_live_in_one_user_namespace() {
    let place = Place::new();
    let script = "echo kept > /kept; exec sleep 100";
    for (name, driver) in [("one", "overlay2"), ("two", "vfs")] {
        as_nobody(&place, &["run", "-d", "--name", name, "--driver", driver, "host", "sh", "-c", script]).ok();
    }
    for name in ["one", "two"] {
        // Another command's view of the mounts of the first.
        assert_eq!(as_nobody(&place, &["exec", name, "cat", "/kept"]).ok().out, "kept\n");
        as_nobody(&place, &["pause", name]).status_is(1).says("no cgroup");
        as_nobody(&place, &["stop", "-t", "0", name]).ok();
        as_nobody(&place, &["start", name]).ok();
        assert!(as_nobody(&place, &["top", name]).ok().out.contains("sleep 100"));
    }
    as_nobody(&place, &["rm", "-f", "one", "two"]).ok();
    assert_eq!(as_nobody(&place, &["gc"]).ok().out, "nothing was left behind\n");
}

#[test]
fn privileged_an_ordinary_user_measures_without_device_counters() {
    let place = Place::new();
    let answer = as_nobody(&place, &["--driver", "all", "--workload", "build", "--quick"]).ok();
    assert!(answer.out.contains("overlay2") && answer.out.contains("vfs"), "{answer:?}");
    let answer = answer.says("no device counters");
    assert!(!answer.err.contains("WARN"), "{answer:?}");
}
