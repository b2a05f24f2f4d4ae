//! Who a container's program is and what it may do.

use harness_runtime::config::{Capabilities, ContainerConfig, DEFAULT_PATH, Seccomp};
use oci_spec::runtime::Capability;

use crate::rootfs::{Rootfs, run, start, stdout, text};

crate::tests![
    privileged_capabilities_are_dockers,
    privileged_capabilities_can_be_added_and_dropped,
    privileged_other_users_have_no_capabilities,
    privileged_no_new_privileges_and_a_filter_are_set,
    privileged_filters_work_without_no_new_privileges,
    privileged_forbidden_calls_are_refused,
    privileged_users_and_groups_are_resolved,
    privileged_environment_is_exact,
    privileged_working_directory_is_entered_and_made,
    privileged_umask_and_limits_are_set,
    privileged_signals_are_at_their_defaults,
    privileged_wrong_values_are_named,
];

const STATUS: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";

fn status(config: &ContainerConfig) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once(":\t").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    stdout(config).lines().map(pair).collect()
}

fn value(status: &[(String, String)], name: &str) -> u64 {
    let (_, value) = status.iter().find(|(of, _)| of == name).unwrap();
    u64::from_str_radix(value, 16).unwrap()
}

/// Docker's 14, as its containers show them.
const DOCKERS: u64 = 0xa804_25fb;

fn privileged_capabilities_are_dockers() {
    let rootfs = Rootfs::new();
    let status = status(&rootfs.shell(STATUS));
    for (name, expected) in
        [("CapInh", 0), ("CapPrm", DOCKERS), ("CapEff", DOCKERS), ("CapBnd", DOCKERS), ("CapAmb", 0)]
    {
        assert_eq!(value(&status, name), expected, "{name}");
    }
}

fn privileged_capabilities_can_be_added_and_dropped() {
    let rootfs = Rootfs::new();
    let mut config = rootfs.shell(STATUS);
    config.cap_add = Capabilities::Only(vec![Capability::SysTime]);
    config.cap_drop = Capabilities::Only(vec![Capability::NetRaw, Capability::Mknod]);
    let expected = DOCKERS & !(1 << 13) & !(1 << 27) | 1 << 25;
    assert_eq!(value(&status(&config), "CapEff"), expected);
    config.cap_add = Capabilities::Only(vec![Capability::Chown]);
    config.cap_drop = Capabilities::All;
    assert_eq!(value(&status(&config), "CapBnd"), 1);
}

fn privileged_other_users_have_no_capabilities() {
    let rootfs = Rootfs::new();
    let status = status(&ContainerConfig { user: Some("user".into()), ..rootfs.shell(STATUS) });
    for (name, expected) in [("CapInh", 0), ("CapPrm", 0), ("CapEff", 0), ("CapBnd", DOCKERS), ("CapAmb", 0)] {
        assert_eq!(value(&status, name), expected, "{name}");
    }
}

fn privileged_no_new_privileges_and_a_filter_are_set() {
    let rootfs = Rootfs::new();
    let status = status(&rootfs.shell(STATUS));
    assert_eq!((value(&status, "NoNewPrivs"), value(&status, "Seccomp")), (1, 2));
}

fn privileged_filters_work_without_no_new_privileges() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { no_new_privileges: false, user: Some("user".into()), ..rootfs.shell(STATUS) };
    let status = status(&config);
    assert_eq!((value(&status, "NoNewPrivs"), value(&status, "Seccomp")), (0, 2));
}

fn privileged_forbidden_calls_are_refused() {
    let rootfs = Rootfs::new();
    for script in ["unshare -U true", "mount -t tmpfs x /tmp", "unshare -m true", "hostname other"] {
        let output = run(&rootfs.shell(script));
        assert!(!output.exit.success(), "{script}");
        let said = text(&output.stderr);
        assert!(said.contains("not permitted") || said.contains("denied"), "{script}: {said}");
    }
    let open = ContainerConfig { seccomp: Seccomp::Unconfined, ..rootfs.shell("unshare -U true") };
    assert!(run(&open).exit.success());
}

fn privileged_users_and_groups_are_resolved() {
    let rootfs = Rootfs::new();
    let id = |user: &str| {
        let config = ContainerConfig { user: Some(user.into()), ..rootfs.shell("id -u; id -g; id -G; echo $HOME") };
        stdout(&config).replace('\n', "|")
    };
    assert_eq!(id("user"), "1000|1001|1001 50 60|/home/user");
    assert_eq!(id("1000"), "1000|1001|1001 50 60|/home/user");
    assert_eq!(id("user:extra"), "1000|50|50|/home/user");
    assert_eq!(id("4321:1234"), "4321|1234|1234|/");
    assert_eq!(id("root"), "0|0|0 60|/root");
    let mut config = rootfs.shell("id -G");
    config.user = Some("user:extra".into());
    config.group_add = vec!["other".into(), "77".into()];
    assert_eq!(stdout(&config), "50 60 77");
    // The streams can be opened anew by who is not root.
    let config = ContainerConfig { user: Some("user".into()), ..rootfs.shell("echo anew > /dev/stdout") };
    assert_eq!(stdout(&config), "anew");
}

fn privileged_environment_is_exact() {
    let rootfs = Rootfs::new();
    let mut config = rootfs.program(&["env"]);
    config.env = vec!["A=1".into(), "PATH=/bin".into(), "EMPTY=".into(), "A=2".into()];
    assert_eq!(stdout(&config), "PATH=/bin\nHOME=/root\nA=2\nEMPTY=");
    assert_eq!(stdout(&rootfs.program(&["env"])), format!("PATH={DEFAULT_PATH}\nHOME=/root"));
}

fn privileged_working_directory_is_entered_and_made() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { cwd: "/tmp".into(), ..rootfs.program(&["pwd"]) };
    assert_eq!(stdout(&config), "/tmp");
    let config = ContainerConfig { cwd: "/new/deep".into(), ..rootfs.shell("pwd; stat -c %a .") };
    assert_eq!(stdout(&config), "/new/deep\n755");
    let config = ContainerConfig { cwd: "/etc/passwd".into(), ..rootfs.program(&["pwd"]) };
    let error = start(&config).unwrap_err().to_string();
    assert!(error.contains("working directory /etc/passwd"), "{error}");
}

fn privileged_umask_and_limits_are_set() {
    let rootfs = Rootfs::new();
    let mut config = rootfs.shell("umask; ulimit -n; ulimit -Hn; ulimit -c");
    config.ulimits = vec![("nofile".into(), 100, 200), ("core".into(), 0, 0)];
    assert_eq!(stdout(&config), "0022\n100\n200\n0");
}

fn privileged_signals_are_at_their_defaults() {
    let rootfs = Rootfs::new();
    let seen = stdout(&rootfs.program(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    assert_eq!(seen, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000");
}

fn privileged_wrong_values_are_named() {
    let rootfs = Rootfs::new();
    let unknown = ContainerConfig { user: Some("nobody-here".into()), ..rootfs.program(&["true"]) };
    let error = harness_runtime::config::spec(&unknown).unwrap_err().to_string();
    assert!(error.contains("unable to find user nobody-here"), "{error}");
    let empty = rootfs.program(&[]);
    assert!(start(&empty).unwrap_err().to_string().contains("no program"));
    let mut spec = harness_runtime::config::spec(&rootfs.program(&["true"])).unwrap();
    spec.linux_mut().as_mut().unwrap().set_mount_label(Some("label".into()));
    let error = harness_runtime::Launch::new("x", spec).start().unwrap_err().to_string();
    assert!(error.contains("linux.mountLabel"), "{error}");
    let spec = harness_runtime::config::spec(&rootfs.program(&["true"])).unwrap();
    assert!(harness_runtime::Launch::new("../x", spec).start().is_err());
}
