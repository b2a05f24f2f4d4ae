//! Containers that are found again by what was written down about them.

use std::{
    fs,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use harness_runtime::{
    Container, Error, Exec, Exit, Launch, Running, RunningRecord, Stdio,
    config::{ContainerConfig, resolve_user, spec},
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::{
    limits::cgroups,
    rootfs::{Rootfs, launch, text},
    waiting::until,
};

crate::tests![
    privileged_a_record_leads_to_the_container,
    privileged_an_ended_container_is_not_found,
    privileged_processes_are_listed,
    privileged_a_paused_container_does_nothing,
    privileged_a_paused_container_can_be_ended,
    privileged_without_a_cgroup_there_is_no_pause,
    privileged_figures_are_those_of_docker_stats,
    privileged_privileged_programs_have_all_capabilities,
    privileged_containers_may_outlive_their_starter,
];

fn accounted(config: &ContainerConfig) -> Container {
    Launch { accounting: true, stdio: Stdio::Null, ..launch(config) }.start().unwrap()
}

fn found(record: &RunningRecord, config: &ContainerConfig) -> Option<Running> {
    let written = serde_json::to_string(record).unwrap();
    Running::open(&serde_json::from_str(&written).unwrap(), &spec(config).unwrap()).unwrap()
}

fn shell(script: &str) -> Exec {
    Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", script]) }
}

fn said(running: &Running, exec: Exec) -> String {
    let output = running.exec(exec).unwrap().output(1 << 20).unwrap();
    assert_eq!((output.exit, text(&output.stderr).as_str()), (Exit::Code(0), ""));
    text(&output.stdout)
}

fn has_ended(running: &Running, patience: Duration) -> bool {
    let patience = rustix::time::Timespec::try_from(patience).unwrap();
    poll(&mut [PollFd::new(&running.as_fd(), PollFlags::IN)], Some(&patience)).unwrap() == 1
}

fn privileged_a_record_leads_to_the_container() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { hostname: Some("inside".into()), ..rootfs.program(&["sleep", "100"]) };
    let container = accounted(&config);
    let running = found(&container.record().unwrap(), &config).unwrap();
    assert_eq!((running.id(), running.pid()), (container.id(), container.pid()));
    let group = "hostname; cat /proc/self/cgroup | grep memory; grep -E '^(Seccomp|CapEff)' /proc/self/status";
    assert_eq!(said(&running, shell(group)), said(&running, shell(&group.replace("self", "1"))));
    let user = resolve_user(rootfs.path(), "user", &[]).unwrap();
    let exec =
        Exec { user: Some(user), cwd: Some("/tmp".into()), env: vec!["A=b".into()], ..shell("id -u; pwd; echo $A") };
    assert_eq!(said(&running, exec), "1000\n/tmp\nb");
    assert!(running.stats().unwrap().unwrap().memory.unwrap() > 0);
    running.signal(9).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Signal(9));
    assert!(has_ended(&running, Duration::ZERO));
    running.signal(15).unwrap();
}

fn privileged_an_ended_container_is_not_found() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("exit 3");
    let container = accounted(&config);
    let record = container.record().unwrap();
    // As long as nobody has waited for it, the id is still taken.
    until("a zombie is no container", || found(&record, &config).is_none());
    container.wait().unwrap();
    assert!(found(&record, &config).is_none());
    // Another process with the id: of another start, or another run of the machine.
    let mut own = record.clone();
    own.pid = std::process::id();
    assert!(found(&own, &config).is_none());
    let staying = accounted(&rootfs.program(&["sleep", "100"]));
    let record = staying.record().unwrap();
    let (mut elsewhere, mut nobody) = (record.clone(), record.clone());
    elsewhere.boot_id = "another".into();
    nobody.pid = 0;
    assert!(found(&elsewhere, &config).is_none() && found(&nobody, &config).is_none());
    assert!(found(&record, &config).is_some());
}

fn privileged_processes_are_listed() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { user: Some("user".into()), ..rootfs.shell("sleep 123 & exec sleep 321") };
    let container = accounted(&config);
    let mut processes = Vec::new();
    until("both are listed as what they execute", || {
        processes = container.processes().unwrap();
        processes.len() == 2 && processes.iter().all(|process| process.command[0] == "sleep")
    });
    let first = processes.iter().find(|process| process.pid == container.pid()).unwrap();
    assert_eq!((first.pid_inside, first.uid, first.terminal), (1, 1000, None));
    assert_eq!((first.parent, &first.command), (std::process::id(), &vec!["sleep".into(), "321".into()]));
    let other = processes.iter().find(|process| process.pid != container.pid()).unwrap();
    assert_eq!((other.parent, &other.command), (container.pid(), &vec!["sleep".into(), "123".into()]));
    let age = SystemTime::now().duration_since(other.started).unwrap_or_default();
    assert!(other.pid_inside > 1 && age < Duration::from_secs(60), "{other:?}");
    // A further program is one of them, who waits for it outside is not.
    let _more = container.exec(shell("sleep 50")).unwrap();
    assert_eq!(container.processes().unwrap().len(), 3);
    container.signal(9).unwrap();
    container.wait().unwrap();
    assert_eq!(container.processes().unwrap(), []);
}

fn privileged_a_paused_container_does_nothing() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("i=0; while :; do i=$((i+1)); echo $i > /tmp/now; done");
    let container = accounted(&config);
    let now = || fs::read_to_string(rootfs.path().join("tmp/now")).unwrap_or_default();
    let running = found(&container.record().unwrap(), &config).unwrap();
    let moves = |patience: Duration| {
        let (before, deadline) = (now(), Instant::now() + patience);
        // Seen once is enough: each change leaves the file empty for a moment.
        while Instant::now() < deadline {
            if now() != before {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    };
    assert!(moves(Duration::from_secs(60)));
    running.pause().unwrap();
    running.pause().unwrap();
    assert!(container.is_paused().unwrap() && !moves(Duration::from_millis(100)));
    let refused = running.exec(shell("true")).unwrap_err();
    assert!(matches!(refused, Error::Paused { .. }), "{refused}");
    container.resume().unwrap();
    assert!(!running.is_paused().unwrap() && moves(Duration::from_secs(60)));
    assert_eq!(said(&running, shell("echo again")), "again");
}

fn privileged_a_paused_container_can_be_ended() {
    let rootfs = Rootfs::new();
    let config = rootfs.program(&["sleep", "100"]);
    let container = accounted(&config);
    let running = found(&container.record().unwrap(), &config).unwrap();
    running.pause().unwrap();
    running.signal(9).unwrap();
    assert!(has_ended(&running, Duration::from_secs(60)));
    let container = accounted(&config);
    container.pause().unwrap();
    container.close().unwrap();
}

fn privileged_without_a_cgroup_there_is_no_pause() {
    let rootfs = Rootfs::new();
    let container = launch(&rootfs.program(&["sleep", "100"])).start().unwrap();
    assert!(container.pause().unwrap_err().to_string().contains("start it with accounting"));
    assert!(!container.is_paused().unwrap());
}

fn privileged_figures_are_those_of_docker_stats() {
    let rootfs = Rootfs::new();
    let busy = "while :; do :; done";
    let config = ContainerConfig { memory: Some(64 << 20), cpus: Some(0.2), pids_limit: Some(9), ..rootfs.shell(busy) };
    let container = accounted(&config);
    let mut stats = container.stats().unwrap().unwrap();
    until("it is throttled", || {
        stats = container.stats().unwrap().unwrap();
        let throttling = stats.throttling.as_ref().unwrap();
        // The kernel counts a period when it begins, and its time when the program may go on.
        throttling.throttled_periods > 0 && throttling.throttled_time > Duration::ZERO
    });
    assert_eq!((stats.memory_limit, stats.pids, stats.pids_limit), (Some(64 << 20), Some(1), Some(9)));
    assert!(stats.memory_inactive_file.unwrap() <= stats.memory.unwrap());
    assert!(stats.cpu_user.unwrap() + stats.cpu_system.unwrap() > Duration::from_millis(1), "{stats:?}");
    assert_eq!(stats.block_written, Some(0));
    let unlimited = accounted(&rootfs.program(&["sleep", "100"])).stats().unwrap().unwrap();
    assert_eq!((unlimited.memory_limit, unlimited.pids_limit), (None, None));
}

fn privileged_privileged_programs_have_all_capabilities() {
    let rootfs = Rootfs::new();
    let config = rootfs.program(&["sleep", "100"]);
    let container = accounted(&config);
    let running = found(&container.record().unwrap(), &config).unwrap();
    let capabilities = || shell("grep -E '^Cap(Eff|Bnd)' /proc/self/status");
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own: Vec<_> = own.lines().filter(|line| line.starts_with("CapEff") || line.starts_with("CapBnd")).collect();
    assert_ne!(said(&running, capabilities()), own.join("\n"));
    assert_eq!(said(&running, Exec { privileged: true, ..capabilities() }), own.join("\n"));
}

/// Another run of this program starts a container with a further program in it, and ends.
fn privileged_containers_may_outlive_their_starter() {
    let rootfs = Rootfs::new();
    let record = rootfs.path().join("record");
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .env(START_AND_LEAVE, rootfs.path())
        .status()
        .unwrap();
    assert!(status.success());
    let record: RunningRecord = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let running = found(&record, &rootfs.program(&["sleep", "100"])).expect("it has ended with its starter");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(running.processes().unwrap().len(), 2);
    assert_eq!(said(&running, shell("echo here")), "here");
    assert!(!cgroups("left-alone").is_empty());
    running.signal(9).unwrap();
    assert!(has_ended(&running, Duration::from_secs(60)));
    assert_eq!(running.processes().unwrap(), []);
    // One hierarchy may be free while the other still counts the ended process.
    until("its cgroup is collected", || {
        harness_runtime::gc_cgroups().unwrap();
        cgroups("left-alone").is_empty()
    });
}

const START_AND_LEAVE: &str = "HARNESS_TEST_START_AND_LEAVE";

/// Starts a container and ends, if this run of the program is for that.
pub fn start_and_leave_if_asked() {
    let Some(rootfs) = std::env::var_os(START_AND_LEAVE) else { return };
    let config = ContainerConfig::new(&rootfs, ["sleep", "100"]);
    let launch = Launch {
        accounting: true,
        die_with_parent: false,
        stdio: Stdio::Null,
        ..Launch::new("left-alone", spec(&config).unwrap())
    };
    let container = launch.start().unwrap();
    let exec = Exec { stdio: Stdio::Null, die_with_parent: false, ..Exec::new(["sleep", "99"]) };
    container.exec(exec).unwrap().detach();
    let record = serde_json::to_vec(&container.record().unwrap()).unwrap();
    fs::write(Path::new(&rootfs).join("record"), record).unwrap();
    container.detach();
    std::process::exit(0);
}
