//! What a container's life costs, from the configuration to the removal of what it had.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use criterion::Criterion;
use harness_runtime::{
    Exit, Launch, Stdio,
    config::{ContainerConfig, Network, Seccomp, spec},
};

fn main() {
    harness_runtime::init_if_asked();
    let root = tempfile::tempdir().expect("a directory for the root file system");
    let path = root.path();
    for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        fs::create_dir(path.join(directory)).expect("make the root file system");
    }
    fs::copy("/bin/busybox", path.join("bin/busybox")).expect("install busybox-static");
    symlink("busybox", path.join("bin/true")).expect("link true");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    start(&mut criterion, path);
    criterion.final_summary();
}

fn start(criterion: &mut Criterion, rootfs: &Path) {
    let plain = || ContainerConfig::new(rootfs, ["true"]);
    let mut group = criterion.benchmark_group("true");
    let limited = ContainerConfig { memory: Some(64 << 20), pids_limit: Some(64), ..plain() };
    let cases = [
        ("default", plain(), false),
        ("init", plain(), true),
        ("host network", ContainerConfig { network: Network::Host, ..plain() }, false),
        ("no seccomp", ContainerConfig { seccomp: Seccomp::Unconfined, ..plain() }, false),
        ("limits", limited, false),
    ];
    for (name, config, init) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let spec = spec(&config).expect("a specification");
                let launch = Launch { stdio: Stdio::Null, init, ..Launch::new("bench", spec) };
                let exit = launch.start().expect("a start").wait().expect("an end");
                assert_eq!(exit, Exit::Code(0));
            });
        });
    }
    group.finish();
}
