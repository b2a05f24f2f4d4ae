//! Containers with users of their own (`--uidmap`).

use std::fs;

use crate::place::Place;

const MAP: [&str; 2] = ["--uidmap", "0:100000:65536"];

#[test]
fn privileged_root_of_a_container_is_another_user_on_the_host() {
    let place = Place::new();
    place
        .run(&[
            "build",
            "--driver",
            "vfs",
            "-t",
            "i",
            place.context(&[("Dockerfile", "FROM host\n")]).to_str().unwrap(),
        ])
        .ok();
    let driver = ["--driver", "vfs"];
    let script = "id -u; stat -c %u /bin/sh /data; touch /data/file /new; sleep 1000";
    let options = [&driver[..], &MAP, &["-d", "--name", "mapped", "-v", "kept:/data"]].concat();
    place.container(&options, &["i", "sh", "-c", script]).ok();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while place.run(&["logs", "mapped"]).ok().out != "0\n0\n0\n" || place.run(&["diff", "mapped"]).ok().out.is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", place.run(&["logs", "mapped"]));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let pid = place.run(&["inspect", "-f", "{{.State.Pid}}", "mapped"]).ok().out;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    assert!(status.contains("\nUid:\t100000\t100000\t100000\t100000\n"), "{status}");
    // A further program joins it, and its commands see the container's owners.
    let seen = place.with_words("exec", &["mapped"], &["sh", "-c", "id -u; stat -c %u /new; cat /proc/self/gid_map"]);
    assert_eq!(seen.ok().out.split_whitespace().collect::<Vec<_>>(), ["0", "0", "0", "100000", "65536"]);
    place.run(&["commit", "mapped", "changed"]).ok();
    place.run(&["rm", "-f", "mapped"]).ok();
    // On disk nothing belongs to the host's user: neither the layer nor the volume.
    let plain = [&driver[..], &["--rm", "-v", "kept:/data"]].concat();
    let seen = place.container(&plain, &["changed", "stat", "-c", "%u", "/new", "/data/file"]);
    assert_eq!(seen.ok().out, "0\n0\n");
}

#[test]
fn privileged_users_of_its_own_need_a_file_system_that_can_map_them() {
    let place = Place::new();
    place
        .run(&[
            "build",
            "--driver",
            "overlay2",
            "-t",
            "i",
            place.context(&[("Dockerfile", "FROM host\n")]).to_str().unwrap(),
        ])
        .ok();
    let run = |options: &[&str]| place.container(&[options, &["--rm"]].concat(), &["i", "true"]);
    run(&[&["--driver", "overlay2"], &MAP[..]].concat()).status_is(125).says("overlayfs");
    run(&["--uidmap", "0:1"]).status_is(2).says("three numbers");
    run(&["--uidmap", "5:100000:10"]).status_is(125).says("user 0 and group 0 of the container have to be mapped");
    run(&["--gidmap", "0:100000:10"]).status_is(2).says("--uidmap");
    run(&[&["--oci-runtime", "runc"], &MAP[..]].concat()).status_is(125).says("built-in runtime");
    run(&["--userns", "host"]).ok();
}
