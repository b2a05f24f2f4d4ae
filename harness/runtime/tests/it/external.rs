//! The life of a container under this runtime and under others: the same handle, the same answers.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use harness_runtime::{
    ContainerFile, Error, Exec, Exit, ExternalRuntime, Launch, Running, Stdio,
    config::{ContainerConfig, resolve_user},
};
use oci_spec::runtime::{Hooks, HooksBuilder};

use crate::{
    engines::Engine,
    execs::said,
    fields::hook,
    rootfs::{Rootfs, launch, text},
    waiting::until,
};

crate::tests![
    privileged_all_runtimes_start_execute_signal_and_remove,
    privileged_all_runtimes_give_a_terminal,
    privileged_all_runtimes_run_hooks_in_order,
    privileged_all_runtimes_name_missing_programs,
    privileged_all_runtimes_count_and_pause,
    privileged_missing_runtimes_name_their_package,
    privileged_what_dead_starters_left_is_removed,
];

const NONE: [PathBuf; 0] = [];

fn shell(script: &str) -> Exec {
    Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", script]) }
}

fn named(engine: Engine, launch: Launch) -> Launch {
    Launch { id: format!("{}-{engine:?}", launch.id), ..launch }
}

/// What external runtimes have of containers with this in their ids.
fn left(id: &str) -> Vec<PathBuf> {
    let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let places = ["runc", "crun", "unshare"].map(|name| Path::new("/run/harness-oci").join(name));
    let all = places.into_iter().flat_map(|place| below(place.join("bundles")).chain(below(place.join("state"))));
    all.filter(|path| path.to_string_lossy().contains(id)).collect()
}

fn privileged_all_runtimes_start_execute_signal_and_remove() {
    let rootfs = Rootfs::new();
    for engine in Engine::ALL {
        let config = ContainerConfig { hostname: Some("inside".into()), ..rootfs.program(&["sleep", "100"]) };
        let file = ContainerFile { path: "/etc/given".into(), content: b"given\n".to_vec() };
        let launch = Launch { stdio: Stdio::Null, files: vec![file], ..named(engine, launch(&config)) };
        let (id, spec) = (launch.id.clone(), launch.spec.clone());
        let container = engine.start(launch).unwrap_or_else(|error| panic!("{engine:?}: {error}"));
        assert_eq!(said(&container, shell("hostname; cat /etc/given; cat /proc/1/comm")), "inside\ngiven\nsleep");
        let user = resolve_user(rootfs.path(), "user", &[]).unwrap();
        let exec = Exec {
            user: Some(user),
            cwd: Some("/tmp".into()),
            env: vec!["A=b".into()],
            ..shell("id -u; pwd; echo $A")
        };
        assert_eq!(said(&container, exec), "1000\n/tmp\nb", "{engine:?}");
        assert_eq!(container.exec(shell("exit 7")).unwrap().wait().unwrap(), Exit::Code(7), "{engine:?}");
        let running = Running::open(&container.record().unwrap(), &spec).unwrap().unwrap();
        let output = running.exec(shell("echo again")).unwrap().output(100).unwrap();
        assert_eq!(text(&output.stdout), "again", "{engine:?}");
        container.signal(9).unwrap();
        assert_eq!(container.wait().unwrap(), Exit::Signal(9), "{engine:?}");
        container.close().unwrap();
        assert_eq!(left(&id), NONE, "{engine:?}");
    }
}

fn privileged_all_runtimes_give_a_terminal() {
    let rootfs = Rootfs::new();
    for engine in Engine::ALL {
        let config = ContainerConfig { tty: true, ..rootfs.shell("test -t 0 && stty size && exec cat") };
        let launch = Launch { stdio: Stdio::Pty { rows: 31, cols: 97 }, ..named(engine, launch(&config)) };
        let mut container = engine.start(launch).unwrap_or_else(|error| panic!("{engine:?}: {error}"));
        let mut terminal = container.take_pty().unwrap();
        let mut said = Vec::new();
        let mut buffer = [0; 100];
        while !text(&said).contains("31 97") {
            let n = terminal.read(&mut buffer).unwrap();
            said.extend_from_slice(&buffer[..n]);
        }
        let exec = Exec { stdio: Stdio::Pty { rows: 5, cols: 6 }, ..Exec::new(["sh", "-c", "sleep 0.1; stty size"]) };
        let mut more = container.exec(exec).unwrap();
        let mut second = more.take_pty().unwrap();
        let n = second.read(&mut buffer).unwrap();
        assert_eq!(text(&buffer[..n]).trim(), "5 6", "{engine:?}");
        container.close().unwrap();
    }
}

fn privileged_all_runtimes_run_hooks_in_order() {
    for engine in Engine::ALL {
        let rootfs = Rootfs::new();
        let outside = tempfile::tempdir().unwrap();
        let log = outside.path().join("log");
        let hooks: Hooks = HooksBuilder::default()
            .create_runtime([hook(&log, "createRuntime", ":")])
            .create_container([hook(&log, "createContainer", ":")])
            .start_container([hook(Path::new("/tmp/log"), "startContainer", ":")])
            .poststart([hook(&log, "poststart", ":")])
            .poststop([hook(&log, "poststop", ":")])
            .build()
            .unwrap();
        let mut launch = named(engine, launch(&rootfs.shell("cut -d' ' -f1 /tmp/log")));
        launch.spec.set_hooks(Some(hooks));
        let output = engine.start(launch).unwrap().output(1000).unwrap();
        assert_eq!(text(&output.stdout), "startContainer", "{engine:?} {}", text(&output.stderr));
        let log = fs::read_to_string(&log).unwrap();
        let order: Vec<_> = log.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(order, ["createRuntime", "createContainer", "poststart", "poststop"], "{engine:?}");
    }
}

fn privileged_all_runtimes_name_missing_programs() {
    let rootfs = Rootfs::new();
    for engine in Engine::ALL {
        let launch = named(engine, launch(&rootfs.program(&["no-such-program"])));
        let id = launch.id.clone();
        let error = engine.start(launch).unwrap_err();
        assert_eq!(error.status(), 127, "{engine:?}: {error}");
        assert!(error.to_string().contains("no-such-program"), "{engine:?}: {error}");
        assert_eq!(left(&id), NONE, "{engine:?}");
    }
}

fn privileged_all_runtimes_count_and_pause() {
    let rootfs = Rootfs::new();
    for engine in Engine::ALL {
        let config = ContainerConfig { memory: Some(64 << 20), ..rootfs.program(&["sleep", "100"]) };
        let launch = Launch { accounting: true, stdio: Stdio::Null, ..named(engine, launch(&config)) };
        let container = engine.start(launch).unwrap();
        // A runtime may return from `start` with its threads in the process that is to be the program.
        let stats = || container.stats().unwrap().unwrap();
        until(&format!("{engine:?}: one process is counted"), || stats().pids == Some(1));
        assert_eq!(stats().memory_limit, Some(64 << 20), "{engine:?}");
        assert_eq!(container.processes().unwrap().len(), 1, "{engine:?}");
        container.pause().unwrap();
        assert!(matches!(container.exec(shell("true")), Err(Error::Paused { .. })), "{engine:?}");
        container.close().unwrap();
    }
}

fn privileged_missing_runtimes_name_their_package() {
    let error = ExternalRuntime::new("/no/such/place/crun").unwrap_err().to_string();
    assert!(error.contains("install the package crun"), "{error}");
    let error = ExternalRuntime::new("no-such-runtime").unwrap_err().to_string();
    assert!(error.contains("no-such-runtime"), "{error}");
}

fn privileged_what_dead_starters_left_is_removed() {
    let rootfs = Rootfs::new();
    let runtime = ExternalRuntime::new("runc").unwrap();
    let config = rootfs.program(&["sleep", "100"]);
    let start = || runtime.start(Launch { id: "stale-runc".into(), stdio: Stdio::Null, ..launch(&config) });
    let first = start().unwrap();
    assert!(start().unwrap_err().to_string().contains("a running container has it"));
    // As if another process, which is gone, had started it.
    let bundle = Path::new("/run/harness-oci/runc/bundles/stale-runc");
    fs::write(bundle.join("owner"), "99999999 1").unwrap();
    let pid = first.pid();
    // Others that tests beside this one are just closing may be among them: those have no owner any more.
    let removed = runtime.remove_stale().unwrap();
    assert!(removed.iter().any(|id| id == "stale-runc"), "{removed:?}");
    assert_eq!(first.wait().unwrap(), Exit::Signal(9));
    assert!(!bundle.exists() && !Path::new(&format!("/proc/{pid}")).exists());
    drop(first);
    // The next one of the name removes it itself.
    let second = start().unwrap();
    fs::write(bundle.join("owner"), "99999999 1").unwrap();
    let third = start().unwrap();
    assert_eq!(second.wait().unwrap(), Exit::Signal(9));
    third.close().unwrap();
}
