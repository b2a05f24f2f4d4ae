//! What options of `run` and `create` come to, seen from inside the container and from outside.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{other_runtimes, place::Place};

/// A question to the container, and its answer.
type Asked = (&'static str, &'static str);

const INSIDE: [Asked; 12] = [
    ("ulimit -Sn; ulimit -Hn", "77\n88"),
    ("cat /proc/self/oom_score_adj", "300"),
    ("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "77"),
    ("df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", "1024"),
    ("id -G", "0 77 78"),
    ("hostname", "box"),
    ("test $$ -ne 1 && echo another is process 1", "another is process 1"),
    ("echo $FROM_FILE $FROM_LINE", "file line"),
    ("pwd", "/tmp"),
    // Bit 0 is CHOWN, bit 12 NET_ADMIN (capabilities(7), linux/capability.h).
    ("echo $(( 0x$(grep CapEff /proc/self/status | cut -f 2) >> 0 & 1 ))", "0"),
    ("echo $(( 0x$(grep CapEff /proc/self/status | cut -f 2) >> 12 & 1 ))", "1"),
    ("grep NoNewPrivs /proc/self/status | cut -f 2", "1"),
];

#[test]
fn privileged_options_reach_the_process() {
    options_reach_the_process(None);
}

#[test]
fn privileged_options_reach_the_process_of_other_runtimes() {
    for runtime in other_runtimes::runtimes() {
        options_reach_the_process(Some(runtime));
    }
}

fn options_reach_the_process(runtime: Option<&str>) {
    let place = Place::new();
    let env = place.dir.path().join("env");
    fs::write(&env, "FROM_FILE=file\nFROM_LINE=file\n").unwrap();
    let cidfile = place.dir.path().join("cid");
    // A small init is the built-in runtime's.
    let asked: Vec<_> =
        INSIDE.into_iter().filter(|(_, answer)| runtime.is_none() || !answer.contains("process 1")).collect();
    let script: String = asked.iter().map(|(question, _)| format!("{question}; echo --\n")).collect();
    let options = [
        ["--ulimit", "nofile=77:88"],
        ["--oom-score-adj", "300"],
        ["--sysctl", "net.ipv4.ip_unprivileged_port_start=77"],
        ["--shm-size", "1m"],
        ["--group-add", "77"],
        ["--group-add", "78"],
        ["-h", "box"],
        ["--env-file", env.to_str().unwrap()],
        ["-e", "FROM_LINE=line"],
        ["-w", "/tmp"],
        ["--cap-drop", "CHOWN"],
        ["--cap-add", "NET_ADMIN"],
        ["--security-opt", "no-new-privileges"],
        ["--cidfile", cidfile.to_str().unwrap()],
        ["--entrypoint", "sh"],
        ["--stop-timeout", "3"],
        ["--stop-signal", "SIGUSR1"],
    ];
    let by = runtime.map_or(vec!["--init"], |runtime| vec!["--runtime", runtime]);
    let options = [options.as_flattened(), &by].concat();
    let ran = place.container(&options, &["host", "-c", &script]).ok();
    let answers: Vec<&str> = ran.out.split("--\n").map(str::trim).collect();
    for ((question, expected), answer) in asked.iter().zip(answers) {
        assert_eq!(answer, *expected, "{runtime:?}: {question}: {ran:?}");
    }
    let id = fs::read_to_string(cidfile).unwrap();
    let told: Value = serde_json::from_str(&place.run(&["inspect", id.trim()]).ok().out).unwrap();
    assert_eq!(told[0]["Config"]["StopTimeout"], 3, "{told}");
}

/// As docker does, by its short name; whoever misspelt one is told what is here.
#[test]
fn privileged_an_image_that_is_not_here_is_asked_for() {
    let place = Place::new();
    place.container(&["--rm"], &["host", "true"]).ok();
    let asked = place.container(&["--rm"], &["hosst:no-such-tag", "true"]).status_is(125);
    assert!(asked.err.contains("does not exist") && asked.err.contains("it cannot be pulled"), "{asked:?}");
    let not = place.container(&["--rm", "--pull", "never"], &["hosst:no-such-tag", "true"]).status_is(125);
    assert!(not.err.contains("does not exist") && !not.err.contains("pulled"), "{not:?}");
}

/// sudo and su are such programs.
#[test]
fn privileged_set_user_id_programs_work_unless_it_is_forbidden() {
    let place = Place::new();
    let dockerfile = "FROM host\nRUN cp /usr/bin/id /usr/bin/whoever && chmod 4755 /usr/bin/whoever\nUSER 1000\n\
                      RUN whoever -u > /tmp/built\nCMD whoever -u; cat /tmp/built\n";
    let context = place.context(&[("Dockerfile", dockerfile)]);
    place.run(&["build", "--network", "none", "-t", "x", context.to_str().unwrap()]).ok();
    assert_eq!(place.container(&["--rm"], &["x"]).ok().out, "0\n0\n");
    let forbidden = place.container(&["--rm", "--security-opt", "no-new-privileges"], &["x"]).ok();
    assert_eq!(forbidden.out, "1000\n0\n");
}

/// As with docker, options end at the image: `run IMAGE -c x` is the command's `-c`, although `run` has an option of that name.
#[test]
fn privileged_what_stands_behind_the_image_is_the_commands() {
    let place = Place::new();
    let ran =
        place.container(&["--rm", "--entrypoint", "echo"], &["host", "-c", "--rm", "--root", "-h", "--", "--help"]);
    assert_eq!(ran.ok().out, "-c --rm --root -h -- --help\n");
    place.container(&["--rm", "--no-such-option"], &["host", "true"]).status_is(125).says("no option --no-such-option");
    place.container(&["--rm"], &[]).status_is(2).says("IMAGE");
}

#[test]
fn privileged_an_image_without_its_privileges_or_with_all() {
    let place = Place::new();
    let effective = ["host", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status | cut -f 2 | tr '\\n' ' '"];
    let none = place.container(&["--rm", "--cap-drop", "ALL"], &effective).ok().out;
    assert_eq!(none.trim(), "0000000000000000 2");
    let all = place.container(&["--rm", "--privileged"], &effective).ok().out;
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    assert_eq!(all.trim(), format!("{own} 0"));
    let unconfined = place.container(&["--rm", "--security-opt", "seccomp=unconfined"], &effective).ok().out;
    assert!(unconfined.trim().ends_with(" 0"), "{unconfined}");
}

/// Where the limits are: the files of cgroup v1 and v2, and what they hold. Weights of v2 are another scale (cgroup-v2.rst), so
/// only some are compared there.
#[test]
fn privileged_limits_reach_the_cgroup() {
    let place = Place::new();
    let options = [
        ["--memory", "64m"],
        ["--memory-swap", "96m"],
        ["--memory-reservation", "32m"],
        ["--cpus", "0.5"],
        ["--cpuset-cpus", "0"],
        ["--pids-limit", "77"],
    ];
    let options = [options.as_flattened(), &["-d", "--name", "limited"]].concat();
    place.container(&options, &["host", "sleep", "100"]).ok();
    let told: Value = serde_json::from_str(&place.run(&["inspect", "limited"]).ok().out).unwrap();
    let pid = told[0]["State"]["Pid"].as_u64().unwrap();
    let expected = [
        ("memory", "memory.limit_in_bytes", "memory.max", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "memory.low", "33554432"),
        ("cpu", "cpu.cfs_quota_us", "cpu.max", "50000"),
        ("cpuset", "cpuset.cpus", "cpuset.cpus", "0"),
        ("pids", "pids.max", "pids.max", "77"),
    ];
    are_limits(pid, &expected);
    place.run(&["rm", "-f", "limited"]).ok();
}

/// Looks into the files of version 1 or 2 that a process's cgroup has for a controller.
fn are_limits(pid: u64, expected: &[(&str, &str, &str, &str)]) {
    for (controller, first, second, value) in expected {
        let (dir, is_second) = cgroup(pid, controller);
        let file = dir.join(if is_second { second } else { first });
        let found = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(found.split_whitespace().next(), Some(*value), "{}", file.display());
    }
}

#[test]
fn privileged_limits_are_changed_while_a_container_runs() {
    let place = Place::new();
    let pid = || place.run(&["inspect", "-f", "{{.State.Pid}}", "box"]).ok().out.trim().parse::<u64>().unwrap();
    let update = |args: &[&str]| place.run(&[&["update"], args, &["box"]].concat());
    let memory = |bytes| ("memory", "memory.limit_in_bytes", "memory.max", bytes);
    let pids = |number| ("pids", "pids.max", "pids.max", number);
    place.container(&["-d", "--name", "box", "--pids-limit", "50"], &["host", "sleep", "100"]).ok();
    let begun = pid();
    // Up and down: which of memory, and memory with swap, has to go first hangs on what was before.
    for (args, limit) in [
        (["--memory", "64m", "--memory-swap", "96m"], "67108864"),
        (["--memory", "128m", "--memory-swap", "256m"], "134217728"),
        (["--memory", "32m", "--memory-swap", "48m"], "33554432"),
    ] {
        assert_eq!(update(&args).ok().out, "box\n");
        are_limits(begun, &[memory(limit), pids("50")]);
    }
    update(&["--pids-limit", "60", "--restart", "on-failure:1"]).ok();
    are_limits(begun, &[pids("60")]);
    let told = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(place.run(&["inspect", "-f", told, "box"]).ok().out, "33554432 60 on-failure\n");
    // Its supervisor starts it with the new limits, by the new policy.
    assert!(Command::new("kill").args(["-9", &begun.to_string()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(120);
    while [0, begun].contains(&pid()) {
        assert!(Instant::now() < deadline, "it was not started again");
        thread::sleep(Duration::from_millis(20));
    }
    are_limits(pid(), &[memory("33554432"), pids("60")]);
    for (args, status, says) in [
        (&["--memory", "1k"][..], 2, "memory 1024"),
        (&["--memory", "much"], 2, "much"),
        (&["--cpus", "0.5"], 1, "started without such a limit"),
        (&["--restart", "sometimes"], 2, "sometimes"),
    ] {
        // On version 2 one directory has all limits.
        if says.contains("without such") && cgroup(pid(), "cpu").1 {
            continue;
        }
        update(args).status_is(status).says(says);
    }
    place.run(&["update", "--memory", "64m", "nobody"]).status_is(1).says("nobody");
    place.run(&["stop", "-t", "0", "box"]).ok();
    update(&["--cpus", "0.5", "--pids-limit", "-1"]).ok();
    place.run(&["start", "box"]).ok();
    are_limits(pid(), &[("cpu", "cpu.cfs_quota_us", "cpu.max", "50000"), pids("max")]);
}

/// A process's cgroup for a controller, and whether it is one of v2: `/proc/PID/cgroup` (cgroups(7)).
fn cgroup(pid: u64, controller: &str) -> (PathBuf, bool) {
    let all = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounted = |wanted: &dyn Fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            wanted(words[2], words[3]).then(|| PathBuf::from(words[1]))
        })
    };
    for line in all.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap(), parts.next().unwrap().trim_start_matches('/'));
        let has = |list: &str| list.split(',').any(|one| one == controller);
        if has(controllers) {
            let root = mounted(&|kind, options| kind == "cgroup" && has(options)).unwrap();
            return (root.join(path), false);
        }
    }
    let path = all.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    (mounted(&|kind, _| kind == "cgroup2").unwrap().join(path), true)
}

#[test]
fn privileged_the_resolver_is_told_what_was_asked_for() {
    let place = Place::new();
    let options =
        ["--rm", "--network", "host", "--dns-search", "a.example", "--dns-option", "ndots:2", "--dns", "192.0.2.7"];
    let told = place.container(&options, &["host", "cat", "/etc/resolv.conf"]).ok().out;
    assert_eq!(told, "nameserver 192.0.2.7\nsearch a.example\noptions ndots:2\n");
    place.container(&["--rm", "--dns-search", "a\nnameserver b"], &["host", "true"]).status_is(125).says("one word");
}

#[test]
fn privileged_a_container_is_started_in_front_by_interactive_alone() {
    let place = Place::new();
    place.with_words("create", &["--name", "front"], &["host", "echo", "seen"]).ok();
    assert_eq!(place.run(&["start", "-i", "front"]).ok().out, "seen\n");
}

#[test]
fn privileged_a_volume_may_have_no_name_and_goes_with_prune() {
    let place = Place::new();
    let drawn = place.run(&["volume", "create"]).ok().out;
    assert_eq!(drawn.trim().len(), 64);
    place.run(&["volume", "create", "kept"]).ok();
    let told = format!("Deleted Volumes:\n{drawn}\nTotal reclaimed space: ");
    assert!(place.run(&["volume", "prune", "-f"]).ok().out.starts_with(&told), "{drawn}");
    assert_eq!(place.run(&["volume", "ls", "-q"]).ok().out, "kept\n");
}

#[test]
fn privileged_an_image_is_for_the_platform_that_is_asked_for() {
    let place = Place::new();
    place.container(&["--rm", "-q", "--platform", "linux"], &["host", "true"]).ok();
    let says = format!("not for linux/{}", if cfg!(target_arch = "s390x") { "amd64" } else { "s390x" });
    let other = says.trim_start_matches("not for ");
    place.container(&["--rm", "--platform", other], &["host", "true"]).status_is(125).says(&says);
    place.with_words("create", &["--platform", other, "--pull", "never"], &["host"]).status_is(125).says(&says);
    place.container(&["--platform", "linux/a/b/c"], &["host", "true"]).status_is(2).says("three parts");
    assert_eq!(place.run(&["ps", "-aq"]).ok().out, "", "nothing is made for another platform");
}
