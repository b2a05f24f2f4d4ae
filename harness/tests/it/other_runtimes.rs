//! The same containers by runc and crun.

use std::{thread, time::Duration};

use crate::place::Place;

/// Programs of Debian's packages of the same names. crun refuses a host on which cgroups of both versions are mounted.
pub fn runtimes() -> Vec<&'static str> {
    let both = std::path::Path::new("/sys/fs/cgroup/unified").exists();
    if both { vec!["runc"] } else { vec!["runc", "crun"] }
}

#[test]
fn privileged_other_runtimes_run_the_same_containers() {
    for runtime in runtimes() {
        let place = Place::new();
        let options = ["--rm", "--oci-runtime", runtime, "-e", "COLOUR=blue", "-w", "/tmp", "--hostname", "box"];
        let script = "echo $COLOUR; pwd; hostname; exit 7";
        let ran = place.container(&options, &["host", "sh", "-c", script]).status_is(7);
        assert_eq!(ran.out, "blue\n/tmp\nbox\n", "{runtime}");
        place.container(&["--rm", "--oci-runtime", runtime], &["host", "nosuchprogram"]).status_is(127);

        place.container(&["-d", "--name", "there", "--oci-runtime", runtime], &["host", "sleep", "1000"]).ok();
        assert_eq!(place.with_words("exec", &[], &["there", "echo", "inside"]).ok().out, "inside\n");
        assert!(place.run(&["top", "there"]).ok().out.contains("sleep 1000"));
        place.run(&["stop", "-t", "0", "there"]).ok();
        assert_eq!(place.run(&["wait", "there"]).ok().out, "137\n");
        place.run(&["rm", "there"]).ok();
        // What the runtime keeps is taken away with the container.
        thread::sleep(Duration::from_millis(50));
        assert!(!place.run(&["gc"]).ok().out.contains("runtime"), "{runtime}");
    }
}

/// Networks, volumes, limits, namespaces and devices are the same, whoever makes the container.
#[test]
fn privileged_what_a_container_is_given_does_not_depend_on_its_runtime() {
    let place = Place::new();
    let memory = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null";
    let (net, ipc, uts) = ("readlink /proc/self/ns/net", "readlink /proc/self/ns/ipc", "readlink /proc/self/ns/uts");
    let cases: [(&[&str], &str); 12] = [
        (&["--network", "none"], "ls /sys/class/net; cat /etc/hosts"),
        (&["--network", "bridge", "-h", "box"], "ls /sys/class/net; grep -c box /etc/hosts; cat /etc/hostname"),
        (&["--network", "host"], net),
        (&["--ipc", "host"], ipc),
        (&["--uts", "host"], uts),
        (&["--pid", "host"], "readlink /proc/self/ns/pid"),
        (
            &["-v", "data:/data", "--tmpfs", "/scratch:size=1m"],
            "echo x >> /data/x; wc -c < /data/x; df -k /scratch | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2",
        ),
        (&["-m", "64m", "--pids-limit", "50"], memory),
        (&["--device", "/dev/loop-control:/dev/lc"], "stat -c %t:%T /dev/lc; : < /dev/lc && echo opened"),
        (&["--read-only"], "touch /x 2>&1 | grep -o Read-only"),
        (&["-u", "1000:77"], "id -u; id -g; grep CapEff /proc/self/status"),
        (
            &["--privileged"],
            "grep Seccomp: /proc/self/status; touch /sys/fs/cgroup && test -e /dev/loop-control && echo all",
        ),
    ];
    for (options, script) in cases {
        let answer = |by: &[&str]| {
            place.run(&["volume", "rm", "-f", "data"]);
            let script = format!("{script}; true");
            place.container(&[options, by, &["--rm"]].concat(), &["host", "sh", "-c", &script]).ok().out
        };
        let own = answer(&[]);
        assert!(!own.is_empty(), "{options:?}");
        for runtime in runtimes() {
            assert_eq!(answer(&["--runtime", runtime]), own, "{runtime}: {options:?}");
        }
    }
}

#[test]
fn privileged_a_runtime_that_is_missing_is_named_before_anything_is_made() {
    let place = Place::new();
    place.container(&["--oci-runtime", "nosuchruntime"], &["host", "true"]).status_is(125).says("nosuchruntime");
    assert!(place.run(&["ps", "-aq"]).ok().out.is_empty());
}
