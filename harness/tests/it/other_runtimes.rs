//! The same containers by runc and crun.

use std::{thread, time::Duration};

use crate::place::Place;

/// Programs of Debian's packages of the same names. crun refuses a host on which cgroups of both versions are mounted.
fn runtimes() -> Vec<&'static str> {
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

#[test]
fn privileged_a_runtime_that_is_missing_is_named_before_anything_is_made() {
    let place = Place::new();
    place.container(&["--oci-runtime", "nosuchruntime"], &["host", "true"]).status_is(125).says("nosuchruntime");
    assert!(place.run(&["ps", "-aq"]).ok().out.is_empty());
}
