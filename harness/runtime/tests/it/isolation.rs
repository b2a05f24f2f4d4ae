//! What a container sees of the host: nothing.

use harness_runtime::config::{ContainerConfig, Network};

use crate::rootfs::{Rootfs, run, stdout, text};

crate::tests![
    privileged_only_own_processes_are_seen,
    privileged_host_name_is_own,
    privileged_network_is_loopback_only_and_up,
    privileged_ipc_objects_are_own,
    privileged_all_namespaces_differ_from_the_hosts,
    privileged_masked_paths_are_empty,
    privileged_kernel_parameters_are_read_only,
    privileged_sysctls_of_own_namespaces_are_set,
    privileged_dev_holds_the_usual_and_no_more,
    privileged_devices_made_later_cannot_be_opened,
    privileged_no_descriptors_leak_in,
    privileged_mounts_of_the_host_are_gone,
    privileged_privileged_containers_are_open,
];

fn privileged_only_own_processes_are_seen() {
    let rootfs = Rootfs::new();
    let seen = stdout(&rootfs.shell("for p in /proc/[0-9]*; do echo ${p#/proc/}; done; echo self $$"));
    let pids: Vec<&str> = seen.lines().collect();
    assert_eq!(pids, ["1", "self 1"], "{seen}");
}

fn privileged_host_name_is_own() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { hostname: Some("inside".into()), ..rootfs.shell("hostname; echo $HOSTNAME") };
    assert_eq!(stdout(&config), "inside\ninside");
    assert_ne!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(), "inside");
}

fn privileged_network_is_loopback_only_and_up() {
    let rootfs = Rootfs::new();
    let script = "cut -d: -f1 -s /proc/net/dev | tail -n +1; cat /sys/class/net/lo/flags; ls /sys/class/net";
    let seen = stdout(&rootfs.shell(script));
    let lines: Vec<&str> = seen.split_whitespace().collect();
    // IFF_UP | IFF_LOOPBACK
    assert_eq!(lines, ["lo", "0x9", "lo"], "{seen}");
    assert_eq!(stdout(&rootfs.shell("ping -c 1 -W 1 127.0.0.1 >/dev/null && echo reached")), "reached");
    let host = ContainerConfig { network: Network::Host, ..rootfs.shell("readlink /proc/self/ns/net") };
    assert_eq!(stdout(&host), std::fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
}

fn privileged_ipc_objects_are_own() {
    let rootfs = Rootfs::new();
    assert_eq!(stdout(&rootfs.shell("tail -n +2 /proc/sysvipc/shm; ls /dev/mqueue /dev/shm | grep -v :")), "");
}

fn privileged_all_namespaces_differ_from_the_hosts() {
    let rootfs = Rootfs::new();
    for namespace in ["mnt", "pid", "uts", "ipc", "net"] {
        let inside = stdout(&rootfs.program(&["readlink", &format!("/proc/self/ns/{namespace}")]));
        let outside = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        assert_ne!(inside, outside.to_str().unwrap());
    }
}

fn privileged_masked_paths_are_empty() {
    let rootfs = Rootfs::new();
    let script = "for p in asound acpi interrupts kcore keys latency_stats timer_list sched_debug scsi; do
        if [ -d /proc/$p ]; then ls -A /proc/$p; elif [ -e /proc/$p ]; then cat /proc/$p; fi; done; ls -A /sys/firmware";
    assert_eq!(stdout(&rootfs.shell(script)), "");
    assert_ne!(std::fs::read_to_string("/proc/interrupts").unwrap(), "");
    let output = run(&rootfs.shell("touch /proc/scsi/x /sys/firmware/x 2>&1"));
    assert!(!output.exit.success());
}

fn privileged_kernel_parameters_are_read_only() {
    let rootfs = Rootfs::new();
    for path in ["/proc/sys/kernel/panic", "/proc/sys/vm/swappiness", "/proc/irq/default_smp_affinity"] {
        let output = run(&rootfs.shell(&format!("cat {path} > /tmp/x && cat /tmp/x > {path}")));
        assert!(text(&output.stderr).contains("Read-only file system"), "{path}: {}", text(&output.stderr));
    }
    let output = run(&rootfs.shell("echo 1 > /sys/kernel/profiling || mkdir /sys/fs/x"));
    assert!(text(&output.stderr).contains("Read-only file system"), "{}", text(&output.stderr));
}

fn privileged_sysctls_of_own_namespaces_are_set() {
    let rootfs = Rootfs::new();
    let mut config = rootfs.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    config.sysctls =
        vec![("net.ipv4.ip_unprivileged_port_start".into(), "0".into()), ("kernel.msgmax".into(), "12345".into())];
    assert_eq!(stdout(&config), "0\n12345");
}

fn privileged_dev_holds_the_usual_and_no_more() {
    let rootfs = Rootfs::new();
    let names = stdout(&rootfs.shell("ls -1 /dev"));
    let expected = [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    ];
    assert_eq!(names.lines().filter(|name| *name != "core").collect::<Vec<_>>(), expected);
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
        echo x > /dev/full 2>/dev/null || echo full; stat -c %a,%t:%T /dev/null /dev/tty; echo y > /dev/stdout";
    assert_eq!(stdout(&rootfs.shell(script)), "4\n4\nfull\n666,1:3\n666,5:0\ny");
}

/// A container has CAP_MKNOD, as builds make device nodes; the host's disks must stay out of its reach all the same.
fn privileged_devices_made_later_cannot_be_opened() {
    let rootfs = Rootfs::new();
    let bound = tempfile::tempdir().unwrap();
    let node = rootfs.path().join("etc/of-the-image");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &node,
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 5),
    )
    .unwrap();
    let script = "for d in /tmp /dev /dev/shm /bound /t; do mknod $d/made c 1 5 && head -c 1 $d/made 2>&1; done
        head -c 1 /etc/of-the-image 2>&1";
    let mut config = rootfs.shell(script);
    config.binds = vec![harness_runtime::config::Bind::new(bound.path(), "/bound")];
    config.tmpfs = vec![harness_runtime::config::Tmpfs { target: "/t".into(), options: vec!["dev".into()] }];
    let output = run(&config);
    let said = text(&output.stdout);
    assert_eq!(said.lines().count(), 6, "{said} {}", text(&output.stderr));
    assert!(said.lines().all(|line| line.ends_with("Permission denied")), "{said}");
}

fn privileged_no_descriptors_leak_in() {
    let rootfs = Rootfs::new();
    // Not close-on-exec, as a careless library would leave it.
    let file = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let seen = stdout(&rootfs.program(&["ls", "-1", "/proc/self/fd"]));
    drop(file);
    // 3 is ls reading the directory.
    assert_eq!(seen, "0\n1\n2\n3");
}

fn privileged_mounts_of_the_host_are_gone() {
    let rootfs = Rootfs::new();
    let mounts = stdout(&rootfs.shell("cut -d' ' -f2 /proc/self/mounts | sort -u"));
    let known = ["/", "/dev", "/proc", "/sys"];
    let foreign: Vec<&str> = mounts
        .lines()
        .filter(|mount| !known.iter().any(|k| mount == k || (*k != "/" && mount.starts_with(&format!("{k}/")))))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(stdout(&rootfs.program(&["ls", "-1", "/"])), "bin\ndev\netc\nhome\nproc\nroot\nsys\ntmp");
}

fn privileged_privileged_containers_are_open() {
    let rootfs = Rootfs::new();
    let script =
        "mount -t tmpfs x /tmp && echo mounted; grep Seccomp: /proc/self/status; [ -e /dev/loop-control ] && echo dev";
    let config = ContainerConfig { privileged: true, ..rootfs.shell(script) };
    assert_eq!(stdout(&config), "mounted\nSeccomp:\t0\ndev");
}
