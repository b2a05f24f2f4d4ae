//! What containers share with the host and with each other, and what of the host they are given.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command, thread, time::Duration};

use crate::place::{Answer, Place};

/// The answer of a container with these options, which are one word each.
fn asked(place: &Place, options: &str, script: &str) -> Answer {
    let options: Vec<_> = options.split(' ').filter(|option| !option.is_empty()).chain(["--rm"]).collect();
    place.container(&options, &["host", "sh", "-c", script])
}

#[track_caller]
fn answers(place: &Place, options: &str, script: &str) -> String {
    asked(place, options, script).ok().out.trim().to_owned()
}

fn namespace_of_host(kind: &str) -> String {
    fs::read_link(Path::new("/proc/self/ns").join(kind)).unwrap().display().to_string()
}

fn has_unified_cgroups() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn privileged_namespaces_are_the_hosts_where_that_is_asked_for() {
    let place = Place::new();
    for (option, kind) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")] {
        let read = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(answers(&place, &format!("{option} host"), &read), namespace_of_host(kind), "{option}");
        let own = if kind == "cgroup" { "--cgroupns private" } else { "" };
        assert_ne!(answers(&place, own, &read), namespace_of_host(kind), "{option}");
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(answers(&place, "--uts host", "hostname; echo $HOSTNAME"), format!("{name}\n{name}"));
    assert_eq!(answers(&place, "--network host", "hostname"), name);
    asked(&place, "--uts host --hostname box", "true").status_is(125).says("--uts host");
}

/// There is no namespace whose end would take them along.
#[test]
fn privileged_nothing_of_a_container_among_the_hosts_processes_outlives_it() {
    let place = Place::new();
    let script = "(sleep 4711 &); sleep 4711 & exec sleep 4711";
    for options in [&["-d", "--name", "among"][..], &["-d", "--name", "among", "--init"]] {
        let options = [options, &["--pid", "host"]].concat();
        place.container(&options, &["host", "sh", "-c", script]).ok();
        let sleepers = || {
            (0..50).find(|_| {
                thread::sleep(Duration::from_millis(20));
                processes("sleep\x004711\x00").len() == 3
            })
        };
        assert!(sleepers().is_some(), "{:?}", processes("sleep\x004711\x00"));
        let listed = place.run(&["top", "among"]).ok().out;
        assert!(!listed.contains("harness-test") && listed.matches("sleep 4711").count() == 3, "{listed}");
        place.run(&["stop", "-t", "0", "among"]).ok();
        place.run(&["wait", "among"]).ok();
        assert_eq!(processes("sleep\x004711\x00"), [0; 0]);
        place.run(&["rm", "among"]).ok();
    }
}

fn processes(command: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    all.filter(|pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == command.as_bytes()))
        .collect()
}

#[test]
fn privileged_containers_share_each_others_namespaces() {
    let place = Place::new();
    let donor = ["-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "1m", "-h", "donor"];
    place.container(&donor, &["host", "sh", "-c", "echo kept > /dev/shm/x; exec sleep 4712"]).ok();
    place.container(&["-d", "--name", "alone"], &["host", "sleep", "4713"]).ok();
    let of_donor = "--network container:donor --pid container:donor --ipc container:donor";
    let script = "tr '\\0' ' ' < /proc/1/cmdline; cat /dev/shm/x; df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2; \
                  cat /etc/hostname";
    // The donor's own script may not have run yet.
    let ready = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(20));
        place.with_words("exec", &[], &["donor", "cat", "/dev/shm/x"]).out == "kept\n"
    });
    assert!(ready);
    assert_eq!(answers(&place, of_donor, script), "sleep 4712 kept\n1024\ndonor");
    let kinds = "for kind in pid ipc net; do readlink /proc/self/ns/$kind; done";
    let own = place.with_words("exec", &[], &["donor", "sh", "-c", kinds]).ok().out;
    assert_eq!(answers(&place, of_donor, kinds), own.trim());
    asked(&place, "--ipc container:alone", "true").status_is(125).says("--ipc shareable");
    asked(&place, "--ipc container:nobody", "true").status_is(125).says("nobody");
    asked(&place, "--pid donor", "true").status_is(125).says("container:NAME");

    place.run(&["rm", "-f", "donor"]).ok();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.lines().any(|line| line.starts_with("shm") && line.contains(place.root().to_str().unwrap())));
    assert_eq!(answers(&place, "--ipc none", "mount | grep -c /dev/shm; true"), "0");
}

/// Programs read their limits there.
#[test]
fn privileged_containers_see_their_own_cgroup_and_no_other() {
    let place = Place::new();
    let (memory, quota, all, made) = match has_unified_cgroups() {
        true => ("memory.max", "cpu.max", "cgroup.procs", "x y"),
        false => ("memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "memory/cgroup.procs", "memory/x x"),
    };
    let limits = "-m 64m --cpu-period 50000 --cpu-quota 20000";
    for view in ["", "--cgroupns private", "--cgroupns host"] {
        // On version 2 the host's view is all of the host's.
        if has_unified_cgroups() && view == "--cgroupns host" {
            continue;
        }
        let script = format!("cd /sys/fs/cgroup; cat {memory} {quota}; wc -l < {all}; mkdir {made}; true");
        let expected = if has_unified_cgroups() { "67108864\n20000 50000\n" } else { "67108864\n20000\n" };
        let told = asked(&place, &format!("{limits} {view}"), &script).ok();
        // The shell and wc; both refusals to write.
        assert!(told.out.starts_with(expected) && told.out.ends_with("\n2\n"), "{view} {told:?}");
        assert_eq!(told.err.matches("Read-only").count(), 2, "{view} {told:?}");
    }
    let own = if has_unified_cgroups() { "grep ^0:: /proc/self/cgroup" } else { "grep :memory: /proc/self/cgroup" };
    let at = answers(&place, "-m 64m --cgroup-parent /harness-test-parent --cgroupns host", own);
    assert!(at.contains(":/harness-test-parent/"), "{at}");
    let left: Vec<_> =
        ["", "memory", "pids"].map(|tree| Path::new("/sys/fs/cgroup").join(tree).join("harness-test-parent")).into();
    assert!(left.iter().all(|place| !place.exists()), "{left:?}");
    assert!(answers(&place, "-m 64m --cgroupns private", own).ends_with(":/"));
}

#[test]
fn privileged_devices_are_given_by_name() {
    let place = Place::new();
    let device = fs::metadata("/dev/loop-control").unwrap();
    let (major, minor) = (rustix::fs::major(device.rdev()), rustix::fs::minor(device.rdev()));
    let script = "stat -c %t:%T /dev/lc && : < /dev/lc && echo opened";
    let told = answers(&place, "--device /dev/loop-control:/dev/lc", script);
    assert_eq!(told, format!("{major:x}:{minor:x}\nopened"));
    let made = format!("mknod /dev/lc c {major} {minor} && : < /dev/lc");
    assert_ne!(asked(&place, "--cap-add MKNOD", &made).status, 0);
    asked(&place, "--device /dev/loop-control:r", "true").status_is(125).says("another OCI runtime");
    asked(&place, "--device /dev/nosuchdevice", "true").status_is(125).says("nosuchdevice");
    asked(&place, "--device-cgroup-rule nonsense", "true").status_is(125).says("c 42:* rwm");
}

#[test]
fn privileged_names_are_in_files_unless_others_are_mounted_there() {
    let place = Place::new();
    let hosts = place.dir.path().join("hosts");
    fs::write(&hosts, "mine\n").unwrap();
    let read = "cat /etc/hostname; grep -c localhost /etc/hosts; grep -c nameserver /etc/resolv.conf";
    let none = answers(&place, "-h box --dns 192.0.2.1", read);
    assert_eq!(none, "box\n2\n1");
    // Root's containers are on the bridge unless another network is asked for.
    let script = "cat /etc/hostname; cat /etc/resolv.conf; ls /sys/class/net";
    let bridge = ["run", "--rm", "-h", "box", "-v", "/dev/null:/etc/resolv.conf", "host", "sh", "-c", script];
    assert_eq!(place.run(&bridge).ok().out, "box\neth0\nlo\n");
    let mounted = format!("-v {}:/etc/hosts", hosts.display());
    assert_eq!(answers(&place, &mounted, "cat /etc/hosts"), "mine");
    // Nothing is made in what is mounted from elsewhere.
    let etc = place.dir.path().join("etc");
    fs::create_dir(&etc).unwrap();
    assert_eq!(answers(&place, &format!("-v {}:/etc:ro", etc.display()), "ls /etc"), "");
    // They are no changes of the container's.
    place.container(&["--name", "made"], &["host", "sh", "-c", "mkdir -p /etc; echo > /etc/new"]).ok();
    let changes = place.run(&["diff", "made"]).ok().out;
    assert!(changes.contains("/etc/new") && !changes.contains("hostname") && !changes.contains("/proc"), "{changes}");
}

#[test]
fn privileged_volumes_are_taken_from_other_containers_and_left_to_them() {
    let place = Place::new();
    let source = ["--name", "source", "-v", "/data", "-v", "named:/named"];
    place.container(&source, &["host", "sh", "-c", "echo one > /data/x; echo two > /named/x"]).ok();
    assert_eq!(answers(&place, "--volumes-from source", "cat /data/x /named/x"), "one\ntwo");
    assert_ne!(asked(&place, "--volumes-from source:ro", "touch /data/y").status, 0);
    assert_eq!(answers(&place, "--volumes-from source -v other:/named", "cat /data/x; ls /named"), "one");
    asked(&place, "--volumes-from source:rx", "true").status_is(125).says("ro|rw");
    asked(&place, "--volumes-from nobody", "true").status_is(125).says("nobody");
}

#[test]
fn privileged_labels_and_annotations_come_from_files_and_words() {
    let place = Place::new();
    let labels = place.dir.path().join("labels");
    fs::write(&labels, "# none\na=1\nb\n").unwrap();
    let file = ["--label-file", labels.to_str().unwrap()];
    let options = [&file[..], &["--name", "told", "-l", "a=2", "--annotation", "k=v"]].concat();
    place.container(&options, &["host", "true"]).ok();
    let told: serde_json::Value = serde_json::from_str(&place.run(&["inspect", "told"]).ok().out).unwrap();
    let labels = &told[0]["Config"]["Labels"];
    assert_eq!((&labels["a"], &labels["b"]), (&"2".into(), &"".into()));
    let id = told[0]["Id"].as_str().unwrap();
    let spec = fs::read(place.root().join("containers").join(id).join("spec.json")).unwrap();
    let spec: serde_json::Value = serde_json::from_slice(&spec).unwrap();
    assert_eq!(spec["annotations"]["k"], "v");
}

#[test]
fn privileged_mounts_of_the_host_travel_where_that_is_asked_for() {
    let place = Place::new();
    let shared = place.dir.path().join("shared");
    fs::create_dir_all(shared.join("below")).unwrap();
    let mount = |arguments: &[&str]| assert!(Command::new("mount").args(arguments).status().unwrap().success());
    let source = shared.to_str().unwrap();
    mount(&["-t", "tmpfs", "shared", source]);
    mount(&["--make-shared", source]);
    for (name, options) in [("follows", ":rslave"), ("stays", "")] {
        let volume = format!("{source}:/s{options}");
        place.container(&["-d", "--name", name, "-v", &volume], &["host", "sleep", "1000"]).ok();
    }
    fs::create_dir(shared.join("later")).unwrap();
    mount(&["-t", "tmpfs", "later", shared.join("later").to_str().unwrap()]);
    let mounts = |name| place.with_words("exec", &[], &[name, "grep", "-c", " /s[ /]", "/proc/self/mounts"]).out;
    let seen = (mounts("follows"), mounts("stays"));
    // What is mounted there comes along at the start, unless that is not wanted.
    let bind = |more: &str| {
        let mount = format!("type=bind,source={source},target=/s{more}");
        place.container(&["--rm", "--mount", &mount], &["host", "grep", "-c", " /s[ /]", "/proc/self/mounts"]).out
    };
    let (with, without) = (bind(""), bind(",bind-recursive=disabled"));
    assert!(Command::new("umount").args(["-R", source]).status().unwrap().success());
    assert_eq!(seen, ("2\n".to_owned(), "1\n".to_owned()));
    assert_eq!((with.as_str(), without.as_str()), ("2\n", "1\n"));
}
