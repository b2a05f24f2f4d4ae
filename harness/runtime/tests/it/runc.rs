//! The same specification under runc gives the same container.

use std::{fs, process::Command};

use harness_runtime::config::{Bind, ContainerConfig, spec};

use crate::rootfs::{Rootfs, run, text};

crate::tests![privileged_runc_agrees];

/// What a program can find out about itself and its surroundings.
const QUESTIONS: &str = "id; pwd; env | sort; hostname; umask; ulimit -n
    grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|SigBlk)' /proc/self/status
    ls -1 /dev; stat -c '%n %F %a %t:%T' /dev/null /dev/zero /dev/tty /dev/pts/ptmx
    readlink /dev/fd /dev/stdin /dev/ptmx
    for p in /proc/kcore /proc/keys /proc/timer_list; do [ -e $p ] && head -c 1 $p | wc -c; done
    ls -A /sys/firmware; ls /sys/class/net; cat /sys/class/net/lo/flags
    touch /x; touch /bound/x; echo 1 > /proc/sys/kernel/panic; mount -t tmpfs x /tmp; unshare -U true
    cut -d' ' -f1-3 /proc/self/mounts | grep -E ' /(proc|dev|dev/pts|sys|dev/mqueue|dev/shm|bound) ' | grep -v ' / ' | cut -d' ' -f2,3
    ls /proc/self/fd | wc -l; exit 7";

fn privileged_runc_agrees() {
    assert!(Command::new("runc").arg("--version").output().is_ok(), "install runc");
    let rootfs = Rootfs::new();
    let bound = tempfile::tempdir().unwrap();
    let mut config = ContainerConfig { hostname: Some("same".into()), read_only: true, ..rootfs.shell(QUESTIONS) };
    fs::create_dir(rootfs.path().join("bound")).unwrap();
    config.binds = vec![Bind { read_only: true, ..Bind::new(bound.path(), "/bound") }];
    config.ulimits = vec![("nofile".into(), 512, 1024)];
    for user in ["root", "user"] {
        config.user = Some(user.into());
        let ours = run(&config);
        let theirs = under_runc(&config);
        assert_eq!(text(&ours.stdout), text(&theirs.stdout));
        assert_eq!(text(&ours.stderr), text(&theirs.stderr));
        assert_eq!(Some(ours.exit.status()), theirs.status.code());
    }
}

fn under_runc(config: &ContainerConfig) -> std::process::Output {
    let bundle = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    spec(config).unwrap().save(bundle.path().join("config.json")).unwrap();
    let id = format!("oracle-{}", std::process::id());
    Command::new("runc")
        .args(["--root", state.path().to_str().unwrap(), "run", "--bundle", bundle.path().to_str().unwrap(), &id])
        .output()
        .unwrap()
}
