//! What the OCI runtime specification asks for, held against this runtime and others: one table, and what each of them
//! is known to do differently.

use std::{fs, path::Path};

use harness_runtime::{Exit, Launch, Output, config::ContainerConfig};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::{
    engines::Engine,
    rootfs::{Rootfs, launch, text},
};

crate::tests![
    privileged_the_specification_is_kept,
    privileged_wrong_specifications_are_refused,
    privileged_what_the_specification_forbids_is_refused_by_name,
];

/// A requirement.
struct Case {
    /// After the file of runtime-tools' validation list that has it.
    name: &'static str,
    /// Merged into the specification: objects member by member, all else in place of what was there.
    change: fn(&Path) -> Value,
    /// What the container runs.
    script: &'static str,
    /// What it writes then.
    expected: &'static str,
}

/// Newer versions know it.
const PASSED_OVER: &str = "it does not know the field, and passes it over";

/// What a runtime of the version in Debian 12 does differently: runtime, case, and what it is.
const DEVIATIONS: &[(Engine, &str, &str)] = &[
    (Engine::Runc, "domainname", PASSED_OVER),
    (Engine::Runc, "linux_personality", PASSED_OVER),
    (Engine::Runc, "process_io_priority", PASSED_OVER),
    (Engine::Crun, "process_io_priority", PASSED_OVER),
];

const CASES: &[Case] = &[
    Case { name: "default", change: |_| json!({}), script: "echo ok", expected: "ok" },
    Case {
        name: "process_args",
        change: |_| json!({"process": {"args": ["printf", "%s|", "a b", "", "$x"]}}),
        script: "",
        expected: "a b||$x|",
    },
    Case {
        name: "process_env",
        change: |_| json!({"process": {"env": ["PATH=/bin", "A=1", "B=with space=and more"]}}),
        script: "echo \"$A $B\"; test -z \"$FOO\"",
        expected: "1 with space=and more",
    },
    Case {
        name: "process_cwd",
        change: |_| json!({"process": {"cwd": "/home/user"}}),
        script: "pwd",
        expected: "/home/user",
    },
    Case {
        name: "process_user",
        change: |_| json!({"process": {"user": {"uid": 1000, "gid": 1001, "additionalGids": [50, 60], "umask": 0o27}}}),
        script: "id -u; id -g; grep Groups /proc/self/status | tr -d '\\t'; umask",
        expected: "1000\n1001\nGroups:50 60 \n0027",
    },
    Case {
        name: "process_rlimits",
        change: |_| {
            json!({"process": {"rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_CPU", "soft": 50, "hard": 60},
                {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600},
                {"type": "RLIMIT_STACK", "soft": 1048576, "hard": 2097152},
            ]}})
        },
        script: "grep processes /proc/self/limits | tr -s ' ' | cut -d' ' -f3,4
            for flag in n c t s; do ulimit -S$flag; ulimit -H$flag; done",
        expected: "500 600\n100\n200\n0\n0\n50\n60\n1024\n2048",
    },
    Case {
        name: "process_capabilities",
        change: |_| {
            let (all, some) = (json!(["CAP_CHOWN", "CAP_NET_RAW", "CAP_KILL"]), json!(["CAP_CHOWN"]));
            json!({"process": {"capabilities":
                {"bounding": all, "effective": some, "permitted": all, "inheritable": [], "ambient": []}}})
        },
        script: "grep -E 'Cap(Bnd|Amb)' /proc/self/status | tr -d '\\t'",
        expected: "CapBnd:0000000000002021\nCapAmb:0000000000000000",
    },
    Case {
        name: "process_ambient_capabilities",
        change: |_| {
            let some = json!(["CAP_NET_RAW"]);
            json!({"process": {"user": {"uid": 1000, "gid": 1000}, "capabilities":
                {"bounding": some, "effective": some, "permitted": some, "inheritable": some, "ambient": some}}})
        },
        script: "grep -E 'Cap' /proc/self/status | cut -f2 | uniq",
        expected: "0000000000002000",
    },
    Case {
        name: "process_no_new_privileges",
        change: |_| json!({"process": {"noNewPrivileges": true}}),
        script: "grep NoNewPrivs /proc/self/status | cut -f2",
        expected: "1",
    },
    Case {
        name: "process_new_privileges",
        change: |_| json!({"process": {"noNewPrivileges": false}}),
        script: "grep NoNewPrivs /proc/self/status | cut -f2",
        expected: "0",
    },
    Case {
        name: "process_oom_score_adj",
        change: |_| json!({"process": {"oomScoreAdj": 100}}),
        script: "cat /proc/self/oom_score_adj",
        expected: "100",
    },
    Case {
        name: "root_readonly_true",
        change: |_| json!({"root": {"readonly": true}}),
        script: "touch /x 2>/dev/null || echo refused; touch /dev/shm/x",
        expected: "refused",
    },
    Case {
        name: "root_readonly_false",
        change: |_| json!({"root": {"readonly": false}}),
        script: "touch /x && echo made",
        expected: "made",
    },
    Case {
        name: "hostname",
        change: |_| json!({"hostname": "by-the-book"}),
        script: "hostname",
        expected: "by-the-book",
    },
    Case {
        name: "domainname",
        change: |_| json!({"domainname": "example.org"}),
        script: "cat /proc/sys/kernel/domainname",
        expected: "example.org",
    },
    Case {
        name: "mounts",
        change: |bound| {
            json!({"mounts": [
                {"destination": "/mnt/a", "type": "tmpfs", "source": "first",
                 "options": ["ro", "noexec", "nosuid", "nodev", "size=64k"]},
                {"destination": "/mnt/b", "type": "bind", "source": bound, "options": ["rbind", "ro"]},
                {"destination": "/mnt/c", "type": "bind", "source": bound.join("file"), "options": ["bind"]},
                {"destination": "/mnt/a2", "type": "tmpfs", "source": "one"},
                {"destination": "/mnt/a2", "type": "tmpfs", "source": "two", "options": ["size=64k"]},
            ]})
        },
        script: "mounted() { grep \" $1 \" /proc/self/mounts | tail -n 1; }
            for option in ro noexec nosuid nodev size=64k; do mounted /mnt/a | grep -o \"[ ,]$option[ ,]\" | tr -d ' ,'; done
            cat /mnt/b/file; touch /mnt/b/x 2>/dev/null || echo refused
            echo changed > /mnt/c; cat /mnt/b/file; mounted /mnt/a2 | cut -d' ' -f1",
        expected: "ro\nnoexec\nnosuid\nnodev\nsize=64k\ncontent\nrefused\nchanged\ntwo",
    },
    Case {
        name: "mounts_tmpcopyup",
        change: |_| {
            json!({"mounts": [{"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}]})
        },
        script: "grep -c root /etc/passwd; echo > /etc/group && echo written",
        expected: "1\nwritten",
    },
    Case {
        name: "linux_masked_paths",
        change: |_| json!({"linux": {"maskedPaths": ["/etc/passwd", "/home", "/not/there"]}}),
        script: "wc -c < /etc/passwd; ls -A /home | wc -l",
        expected: "0\n0",
    },
    Case {
        name: "linux_readonly_paths",
        change: |_| json!({"linux": {"readonlyPaths": ["/tmp", "/etc/group", "/not/there"]}}),
        script: "touch /tmp/x 2>/dev/null || echo one; (echo > /etc/group) 2>/dev/null || echo two; touch /etc/x",
        expected: "one\ntwo",
    },
    Case {
        name: "default_devices",
        change: |_| json!({}),
        script: "for d in null zero full random urandom tty; do stat -c '%F %t:%T %a' /dev/$d; done
            for l in fd stdin stdout stderr; do readlink /dev/$l; done; test -c /dev/ptmx && test -c /dev/pts/ptmx && echo terminals",
        expected: "character special file 1:3 666\ncharacter special file 1:5 666\ncharacter special file 1:7 666\n\
                   character special file 1:8 666\ncharacter special file 1:9 666\ncharacter special file 5:0 666\n\
                   /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\nterminals",
    },
    Case {
        name: "linux_devices",
        change: |_| {
            json!({"linux": {"devices": [
                {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 1000, "gid": 50},
                {"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0, "fileMode": 0o600},
            ]}})
        },
        script: "stat -c '%F %t:%T %a %u:%g' /dev/mine; stat -c '%F %a' /dev/pipe; echo x > /dev/mine",
        expected: "character special file 1:3 640 1000:50\nfifo 600",
    },
    Case {
        name: "linux_sysctl",
        change: |_| json!({"linux": {"sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}}}),
        script: "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
        expected: "1\n9000",
    },
    Case {
        name: "linux_ns_nopath",
        change: |_| json!({"linux": {"namespaces": kinds(&["mount", "pid", "uts", "ipc", "network", "cgroup"])}}),
        script: "for kind in mnt pid uts ipc net cgroup; do
            [ $(readlink /proc/self/ns/$kind) = $(eval echo \\$HOST_$kind) ] && echo shared $kind; done; echo $$",
        expected: "1",
    },
    Case {
        name: "linux_ns_itype",
        change: |_| json!({"hostname": null, "linux": {"namespaces": kinds(&["mount", "pid"])}}),
        script: "for kind in mnt pid uts ipc net cgroup; do
            [ $(readlink /proc/self/ns/$kind) = $(eval echo \\$HOST_$kind) ] && echo shared $kind; done",
        expected: "shared uts\nshared ipc\nshared net\nshared cgroup",
    },
    Case {
        name: "linux_ns_path",
        change: |_| {
            let mut namespaces = kinds(&["mount", "pid", "uts"]);
            let path = format!("/proc/{}/ns/net", std::process::id());
            namespaces.as_array_mut().unwrap().push(json!({"type": "network", "path": path}));
            json!({"linux": {"namespaces": namespaces}})
        },
        script: "[ $(readlink /proc/self/ns/net) = $HOST_net ] && echo joined",
        expected: "joined",
    },
    Case {
        name: "linux_seccomp",
        change: |_| {
            json!({"linux": {"seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "defaultErrnoRet": null,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
            }}})
        },
        script: "mkdir /tmp/x 2>&1 | grep -o 'No space.*'; grep Seccomp: /proc/self/status | cut -f2",
        expected: "No space left on device\n2",
    },
    Case {
        name: "linux_cgroups",
        change: |_| {
            json!({
                "linux": {
                    "namespaces": kinds(&["mount", "pid", "uts", "ipc", "network", "cgroup"]),
                    "resources": {
                        "memory": {"limit": 67_108_864, "reservation": 33_554_432},
                        "pids": {"limit": 42},
                        "cpu": {"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0", "mems": "0"},
                        "devices": [],
                    },
                },
                "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
            })
        },
        script: "cd /sys/fs/cgroup; read_one() { cat $@ 2>/dev/null; }
            read_one memory/memory.limit_in_bytes memory.max; read_one memory/memory.soft_limit_in_bytes memory.low
            read_one pids/pids.max pids.max; read_one cpu/cpu.cfs_quota_us || cut -d' ' -f1 cpu.max
            read_one cpuset/cpuset.cpus cpuset.cpus; [ -d pids ] && cd pids; (echo 9 > pids.max) 2>/dev/null || echo refused",
        expected: "67108864\n33554432\n42\n50000\n0\nrefused",
    },
    Case {
        name: "linux_personality",
        change: |_| json!({"linux": {"personality": {"domain": "LINUX32"}}}),
        script: "uname -m",
        expected: "i686",
    },
    Case {
        name: "process_io_priority",
        change: |_| json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}}),
        script: "ionice -p $$ | grep -o idle",
        expected: "idle",
    },
    Case { name: "exit_status", change: |_| json!({}), script: "echo ended; exit 37", expected: "ended (37)" },
];

fn kinds(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        // Mounts are in addition to those that every container has.
        (Value::Array(into), Value::Array(change)) if change.iter().any(|v| v.get("destination").is_some()) => {
            into.extend(change);
        }
        (into, change) => *into = change,
    }
}

fn changed(spec: &Spec, change: Value) -> Spec {
    let mut value = serde_json::to_value(spec).unwrap();
    merge(&mut value, change);
    serde_json::from_value(value).unwrap()
}

fn run(engine: Engine, case: &Case) -> String {
    let rootfs = Rootfs::new();
    let bound = tempfile::tempdir().unwrap();
    fs::write(bound.path().join("file"), "content\n").unwrap();
    let config = ContainerConfig {
        hostname: Some("default".into()),
        env: ["mnt", "pid", "uts", "ipc", "net", "cgroup"]
            .iter()
            .map(|kind| format!("HOST_{kind}={}", fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display()))
            .collect(),
        ..rootfs.shell(case.script)
    };
    let launch = launch(&config);
    let spec = changed(&launch.spec, (case.change)(bound.path()));
    match engine.start(Launch { id: format!("{}-{engine:?}", case.name), spec, ..launch }) {
        Ok(container) => told(&container.output(1 << 20).unwrap()),
        Err(error) => format!("not started: {error}"),
    }
}

fn told(output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    match (output.exit, stderr.is_empty()) {
        (Exit::Code(0), true) => stdout,
        (Exit::Code(code), true) => format!("{stdout} ({code})"),
        (exit, _) => format!("{stdout} ({exit}) {stderr}"),
    }
}

fn privileged_the_specification_is_kept() {
    let mut wrong = Vec::new();
    for case in CASES {
        for engine in Engine::ALL {
            let seen = run(engine, case);
            let known = DEVIATIONS.iter().find(|(of, name, _)| (*of, *name) == (engine, case.name));
            match (seen == case.expected, known) {
                (true, None) | (false, Some(_)) => {}
                (true, Some((_, _, what))) => wrong.push(format!("{} {engine:?}: no longer: {what}", case.name)),
                (false, None) => {
                    wrong.push(format!("{} {engine:?}: {seen:?}\n    instead of {:?}", case.name, case.expected));
                }
            }
        }
    }
    for (_, name, _) in DEVIATIONS {
        assert!(CASES.iter().any(|case| case.name == *name), "there is no case {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn privileged_wrong_specifications_are_refused() {
    let rootfs = Rootfs::new();
    let wrong = [
        json!({"process": {"args": []}}),
        json!({"process": {"cwd": "relative"}}),
        json!({"linux": {"namespaces": kinds(&["mount", "pid", "pid"])}}),
        json!({"linux": {"sysctl": {"kernel.panic": "1"}}}),
        json!({"mounts": [{"destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["bind"]}]}),
        json!({"process": {"args": ["no-such-program"]}}),
    ];
    for change in wrong {
        for engine in Engine::ALL {
            let launch = launch(&rootfs.program(&["true"]));
            let spec = changed(&launch.spec, change.clone());
            let started = engine.start(Launch { id: format!("wrong-{engine:?}"), spec, ..launch });
            assert!(started.is_err(), "{engine:?} {change}");
        }
    }
}

/// Of these not every runtime is as strict; here what is wrong is named.
fn privileged_what_the_specification_forbids_is_refused_by_name() {
    let rootfs = Rootfs::new();
    let limit = |soft: u64| json!({"type": "RLIMIT_NOFILE", "soft": soft, "hard": 100});
    let device = |path: &str, kind: &str| json!({"path": path, "type": kind, "major": 1, "minor": 3});
    let wrong = [
        (json!({"ociVersion": "2.0.0"}), "ociVersion \"2.0.0\""),
        (json!({"ociVersion": "1.0"}), "ociVersion \"1.0\""),
        (json!({"annotations": {"": "x"}}), "annotations"),
        (json!({"root": {"path": "/no/such/root"}}), "/no/such/root"),
        (json!({"root": {"path": "relative"}}), "has to be absolute"),
        (json!({"process": {"rlimits": [limit(5), limit(6)]}}), "process.rlimits RLIMIT_NOFILE: it is there twice"),
        (json!({"process": {"rlimits": [limit(101)]}}), "above the hard one"),
        (json!({"process": {"oomScoreAdj": 1001}}), "process.oomScoreAdj 1001"),
        (json!({"process": {"args": ["true", "nul\0"]}}), "NUL"),
        (json!({"hooks": {"poststart": [{"path": "relative"}]}}), "hooks.poststart.path relative"),
        (json!({"hooks": {"poststart": [{"path": "/bin/true", "timeout": 0}]}}), "above zero"),
        (json!({"mounts": [{"destination": "relative", "type": "tmpfs", "source": "tmpfs"}]}), "has to be absolute"),
        (json!({"linux": {"maskedPaths": ["proc/kcore"]}}), "has to be absolute"),
        (json!({"linux": {"readonlyPaths": ["proc/sys"]}}), "has to be absolute"),
        (
            json!({"linux": {"devices": [device("/dev/one", "c"), device("/dev/one", "c")]}}),
            "/dev/one: it is there twice",
        ),
        (json!({"linux": {"devices": [device("/etc/one", "c")]}}), "below /dev only"),
        (json!({"linux": {"rootfsPropagation": "sideways"}}), "linux.rootfsPropagation sideways"),
        (json!({"linux": {"namespaces": kinds(&["mount", "pid"])}, "hostname": "other"}), "uts namespace"),
    ];
    for (change, named) in wrong {
        let launch = launch(&rootfs.program(&["true"]));
        let spec = changed(&launch.spec, change.clone());
        let error = Engine::Ours.start(Launch { id: "forbidden".into(), spec, ..launch }).unwrap_err().to_string();
        assert!(error.contains(named), "{change}: {error}");
    }
    // What follows the version's numbers does not count.
    let launch = launch(&rootfs.program(&["true"]));
    let spec = changed(&launch.spec, json!({"ociVersion": "1.2.0-rc.1+dev"}));
    let output = Engine::Ours.start(Launch { spec, ..launch }).unwrap().output(10).unwrap();
    assert_eq!(output.exit, Exit::Code(0));
}
