//! Cgroups.

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness_runtime::{Exit, Launch, config::ContainerConfig, gc_cgroups};

use crate::rootfs::{Rootfs, launch, text};

crate::tests![
    privileged_memory_is_limited,
    privileged_processes_are_limited,
    privileged_processor_time_is_limited,
    privileged_use_is_counted,
    privileged_weights_and_sets_are_written,
    privileged_cgroups_are_where_they_are_asked_for,
    privileged_cgroups_are_removed,
    privileged_containers_without_limits_have_no_cgroup,
    privileged_orphaned_cgroups_are_collected,
];

const NONE: [PathBuf; 0] = [];

/// Directories of ours in all hierarchies, with this in their names.
pub fn cgroups(id: &str) -> Vec<PathBuf> {
    let trees = ["", "memory", "cpu", "cpuacct", "pids", "blkio", "devices", "freezer", "cpuset"]
        .map(|tree| Path::new("/sys/fs/cgroup").join(tree).join("harness"));
    let entries = trees.iter().filter_map(|tree| fs::read_dir(tree).ok()).flatten().flatten();
    entries
        .map(|entry| entry.path())
        // In version 2 there are files beside them: `cpuset.cpus` is of no container called `cpus`.
        .filter(|path| path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with(id))
        .collect()
}

fn limited(id: &str, config: &ContainerConfig) -> Launch {
    Launch { id: id.to_owned(), ..launch(config) }
}

fn privileged_memory_is_limited() {
    let rootfs = Rootfs::new();
    let script = "head -c 100m /dev/zero | tail -c 90m | wc -c";
    let config = ContainerConfig { memory: Some(32 << 20), ..rootfs.shell(&format!("{script}; echo survived")) };
    let container = limited("memory", &config).start().unwrap();
    let exit = container.wait().unwrap();
    let stats = container.stats().unwrap().unwrap();
    assert!(stats.memory_peak.unwrap() <= 32 << 20, "{stats:?}");
    assert!(stats.oom_kills.unwrap() > 0, "{stats:?} {exit}");
}

fn privileged_processes_are_limited() {
    let rootfs = Rootfs::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait";
    let config = ContainerConfig { pids_limit: Some(5), ..rootfs.shell(script) };
    let output = limited("pids", &config).start().unwrap().output(1000).unwrap();
    assert!(text(&output.stderr).contains("can't fork"), "{}", text(&output.stderr));
    assert_eq!(output.exit, Exit::Code(2));
}

fn privileged_processor_time_is_limited() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { cpus: Some(0.5), ..rootfs.program(&["sleep", "100"]) };
    let container = limited("cpus", &config).start().unwrap();
    let group = &cgroups("cpus")[0];
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us"))
        .or_else(|_| fs::read_to_string(group.join("cpu.max")))
        .unwrap();
    assert_eq!(quota.split_whitespace().next(), Some("50000"));
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(members.trim(), container.pid().to_string());
}

fn privileged_use_is_counted() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done");
    let container = Launch { accounting: true, ..limited("counted", &config) }.start().unwrap();
    container.wait().unwrap();
    let stats = container.stats().unwrap().unwrap();
    assert!(stats.cpu_time.unwrap().as_micros() > 1000, "{stats:?}");
    assert!(stats.memory_peak.unwrap() > 0, "{stats:?}");
}

fn privileged_weights_and_sets_are_written() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig {
        memory_reservation: Some(32 << 20),
        memory_swappiness: (!is_version_two()).then_some(7),
        cpu_shares: Some(512),
        cpuset_cpus: Some("0".into()),
        cpuset_mems: Some("0".into()),
        blkio_weight: Some(100),
        ..rootfs.program(&["grep", "Cpus_allowed_list", "/proc/self/status"])
    };
    let container = limited("weights", &config).start().unwrap();
    let is = |one: &str, two: &str, value: &str| {
        let found = cgroups("weights").iter().find_map(|group| {
            let read = |file: &str| fs::read_to_string(group.join(file)).ok();
            read(one).or_else(|| read(two))
        });
        assert_eq!(found.expect(one).split_whitespace().last(), Some(value), "{one}");
    };
    is("memory.soft_limit_in_bytes", "memory.low", "33554432");
    is("cpu.shares", "cpu.weight", if is_version_two() { "20" } else { "512" });
    is("blkio.bfq.weight", "io.weight", if is_version_two() { "910" } else { "100" });
    if !is_version_two() {
        is("memory.swappiness", "", "7");
    }
    let output = container.output(1000).unwrap();
    assert_eq!(text(&output.stdout), "Cpus_allowed_list:\t0");
    assert_eq!(cgroups("weights"), NONE);
}

fn is_version_two() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn privileged_cgroups_are_where_they_are_asked_for() {
    let rootfs = Rootfs::new();
    let above = format!("harness-asked-{}", std::process::id());
    let directory = |path: &str| {
        let tree = if is_version_two() { "" } else { "pids" };
        Path::new("/sys/fs/cgroup").join(tree).join(path)
    };
    let config = ContainerConfig { pids_limit: Some(7), ..rootfs.program(&["sleep", "100"]) };
    let mut launch = limited("asked", &config);
    let linux = launch.spec.linux_mut().as_mut().unwrap();
    linux.set_cgroups_path(Some(format!("/{above}/inner/one").into()));
    let container = launch.start().unwrap();
    let place = directory(&format!("{above}/inner/one"));
    assert_eq!(fs::read_to_string(place.join("pids.max")).unwrap(), "7\n");
    assert_eq!(fs::read_to_string(place.join("cgroup.procs")).unwrap().trim(), container.pid().to_string());
    assert!(container.stats().unwrap().unwrap().memory.is_some());
    container.close().unwrap();
    assert!(!directory(&above).exists());
    for refused in ["../escape", "/", "system.slice:harness:one"] {
        let mut launch = limited("asked", &config);
        launch.spec.linux_mut().as_mut().unwrap().set_cgroups_path(Some(refused.into()));
        launch.start().unwrap_err();
    }
}

fn privileged_cgroups_are_removed() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig {
        memory: Some(64 << 20),
        cpus: Some(1.0),
        pids_limit: Some(50),
        ..rootfs.shell("sleep 0.05 & exit 1")
    };
    let container = limited("removed", &config).start().unwrap();
    assert!(!cgroups("removed").is_empty());
    container.wait().unwrap();
    container.close().unwrap();
    assert_eq!(cgroups("removed"), NONE);
    // Also when the start fails.
    let missing = ContainerConfig { args: vec!["nothing".into()], ..config };
    limited("removed", &missing).start().unwrap_err();
    assert_eq!(cgroups("removed"), NONE);
}

fn privileged_containers_without_limits_have_no_cgroup() {
    let rootfs = Rootfs::new();
    let container = limited("unlimited", &rootfs.program(&["sleep", "100"])).start().unwrap();
    assert_eq!(cgroups("unlimited"), NONE);
    assert_eq!(container.stats().unwrap(), None);
}

fn privileged_orphaned_cgroups_are_collected() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { pids_limit: Some(5), ..rootfs.program(&["sleep", "100"]) };
    let container = limited("living", &config).start().unwrap();
    let living = cgroups("living");
    let base = living[0].parent().unwrap();
    // No process has this number: it is beyond the kernel's largest.
    let orphan = base.join("orphan.99999999");
    fs::create_dir(&orphan).unwrap();
    let removed = gc_cgroups().unwrap();
    assert!(removed.contains(&orphan.display().to_string()), "{removed:?}");
    assert_eq!(cgroups("living"), living);
    drop(container);
}
