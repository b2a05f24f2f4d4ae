//! Fields of the specification that people write themselves, beyond what docker's options give.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use harness_runtime::{Container, Exec, Exit, Launch, Output, Result, Stdio, config::ContainerConfig};
use oci_spec::runtime::{
    Hook, HookBuilder, Hooks, HooksBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, Spec,
};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use crate::{
    execs::said,
    rootfs::{Rootfs, launch, text},
    waiting::until,
};

crate::tests![
    privileged_namespaces_of_others_are_joined,
    privileged_files_that_are_no_namespaces_are_refused,
    privileged_a_cgroup_namespace_shows_the_own_cgroup_as_root,
    privileged_cgroups_are_seen_read_only,
    privileged_mounts_of_the_host_arrive_at_slaves_only,
    privileged_mounts_of_shared_binds_reach_the_host,
    privileged_a_tmpfs_may_start_with_what_it_covers,
    privileged_personality_and_io_priority_are_set,
    privileged_hooks_run_in_order_and_place,
    privileged_a_failing_hook_ends_the_container,
];

fn with(config: &ContainerConfig, change: impl FnOnce(&mut Spec)) -> Launch {
    let mut launch = launch(config);
    change(&mut launch.spec);
    launch
}

fn run(launch: Launch) -> String {
    let output = launch.start().unwrap().output(1 << 20).unwrap();
    told(&output)
}

fn told(output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.exit, stderr.as_str()), (Exit::Code(0), ""), "{stdout}");
    stdout
}

fn namespace(spec: &mut Spec, kind: LinuxNamespaceType, path: Option<&str>) {
    let namespaces = spec.linux_mut().as_mut().unwrap().namespaces_mut().as_mut().unwrap();
    namespaces.retain(|known| known.typ() != kind);
    let mut builder = LinuxNamespaceBuilder::default().typ(kind);
    if let Some(path) = path {
        builder = builder.path(path);
    }
    namespaces.push(builder.build().unwrap());
}

fn add_mount(spec: &mut Spec, target: &str, kind: &str, source: &Path, options: &[&str]) {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let mount: Mount =
        MountBuilder::default().destination(target).typ(kind).source(source).options(options).build().unwrap();
    spec.mounts_mut().as_mut().unwrap().push(mount);
}

fn privileged_namespaces_of_others_are_joined() {
    let rootfs = Rootfs::new();
    let sleeper = ContainerConfig { hostname: Some("shared".into()), ..rootfs.program(&["sleep", "100"]) };
    let first = Launch { stdio: Stdio::Null, ..launch(&sleeper) }.start().unwrap();
    let list = "for kind in net ipc uts; do readlink /proc/self/ns/$kind; done; hostname";
    let script = format!("({list}) > /tmp/first && mv /tmp/first /tmp/second; exec sleep 100");
    let second = with(&rootfs.shell(&script), |spec| {
        for (kind, name) in
            [(LinuxNamespaceType::Network, "net"), (LinuxNamespaceType::Ipc, "ipc"), (LinuxNamespaceType::Uts, "uts")]
        {
            namespace(spec, kind, Some(&format!("/proc/{}/ns/{name}", first.pid())));
        }
    });
    let second: Container = Launch { stdio: Stdio::Null, ..second }.start().unwrap();
    let ask = |container: &Container| said(container, Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", list]) });
    let expected = ask(&first);
    assert!(expected.ends_with("shared"));
    // Further programs join them too.
    assert_eq!(ask(&second), expected);
    let written = rootfs.path().join("tmp/second");
    until("the second container writes", || written.exists());
    assert_eq!(fs::read_to_string(written).unwrap().trim(), expected);
}

fn privileged_files_that_are_no_namespaces_are_refused() {
    let rootfs = Rootfs::new();
    let refused = |kind, path: &str| -> String {
        let result: Result<Container> =
            with(&rootfs.program(&["true"]), |spec| namespace(spec, kind, Some(path))).start();
        result.unwrap_err().to_string()
    };
    assert!(refused(LinuxNamespaceType::Network, "/proc/self/ns/ipc").contains("another kind"));
    assert!(refused(LinuxNamespaceType::Network, "/etc/passwd").contains("no namespace"));
    assert!(refused(LinuxNamespaceType::Network, "/no/such/file").contains("/no/such/file"));
    assert!(refused(LinuxNamespaceType::Network, "relative").contains("absolute"));
    assert!(refused(LinuxNamespaceType::Mount, "/proc/self/ns/mnt").contains("not supported"));
}

fn privileged_a_cgroup_namespace_shows_the_own_cgroup_as_root() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { pids_limit: Some(20), ..rootfs.shell("grep -E ':pids:|^0::' /proc/self/cgroup") };
    let own = run(with(&config, |spec| namespace(spec, LinuxNamespaceType::Cgroup, None)));
    assert!(own.lines().all(|line| line.ends_with(":/") || !line.contains("harness")), "{own}");
    assert!(run(launch(&config)).contains("/harness/"));
}

fn privileged_cgroups_are_seen_read_only() {
    let rootfs = Rootfs::new();
    let script = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null
        (echo 5 > /sys/fs/cgroup/pids/pids.max) 2>/dev/null || echo refused";
    let config = ContainerConfig { pids_limit: Some(20), ..rootfs.shell(script) };
    let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    let seen = run(with(&config, |spec| {
        namespace(spec, LinuxNamespaceType::Cgroup, None);
        add_mount(spec, "/sys/fs/cgroup", "cgroup", Path::new("cgroup"), &options);
    }));
    assert_eq!(seen, "20\nrefused");
    // Without a namespace version 2's tree is there whole, as read-only, and of version 1's what is the container's.
    let list = ContainerConfig {
        pids_limit: Some(20),
        ..rootfs.shell(
            "d=/sys/fs/cgroup/pids; test -d $d && cat $d/pids.max || { d=/sys/fs/cgroup; test -d $d/harness && echo 20; }
            mkdir $d/x 2>&1 | grep -o Read-only",
        )
    };
    let seen = run(with(&list, |spec| add_mount(spec, "/sys/fs/cgroup", "cgroup", Path::new("cgroup"), &options)));
    assert_eq!(seen, "20\nRead-only");
}

/// A shared mount of the host, unmounted when dropped.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), None).unwrap();
        mount_change(directory.path(), MountPropagationFlags::SHARED).unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        Self(directory)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = unmount(self.0.path().join("below"), UnmountFlags::DETACH);
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

fn privileged_mounts_of_the_host_arrive_at_slaves_only() {
    let rootfs = Rootfs::new();
    for (option, arrives) in [("rslave", true), ("rshared", true), ("rprivate", false)] {
        let shared = Shared::new();
        let config = rootfs.program(&["sleep", "100"]);
        let launch = with(&config, |spec| add_mount(spec, "/bound", "bind", shared.0.path(), &["rbind", option]));
        let container = Launch { stdio: Stdio::Null, ..launch }.start().unwrap();
        mount("late", shared.0.path().join("below"), "tmpfs", MountFlags::empty(), None).unwrap();
        let count =
            Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", "grep -c ' /bound/below ' /proc/self/mounts || :"]) };
        assert_eq!(said(&container, count), if arrives { "1" } else { "0" }, "{option}");
    }
}

fn privileged_mounts_of_shared_binds_reach_the_host() {
    let rootfs = Rootfs::new();
    for (option, reaches) in [("rslave", false), ("rshared", true), ("rprivate", false)] {
        let shared = Shared::new();
        let config = ContainerConfig { privileged: true, ..rootfs.shell("mount -t tmpfs inside /bound/below") };
        let launch = with(&config, |spec| add_mount(spec, "/bound", "bind", shared.0.path(), &["rbind", option]));
        run(launch);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let place = shared.0.path().join("below");
        assert_eq!(mounts.contains(place.to_str().unwrap()), reaches, "{option}");
    }
}

fn privileged_a_tmpfs_may_start_with_what_it_covers() {
    let rootfs = Rootfs::new();
    let covered = rootfs.path().join("covered");
    fs::create_dir_all(covered.join("directory")).unwrap();
    fs::set_permissions(&covered, fs::Permissions::from_mode(0o751)).unwrap();
    fs::write(covered.join("directory/file"), "content").unwrap();
    std::os::unix::fs::chown(covered.join("directory/file"), Some(1000), Some(50)).unwrap();
    fs::set_permissions(covered.join("directory/file"), fs::Permissions::from_mode(0o4640)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", covered.join("link")).unwrap();
    let script = "cd /covered; stat -c '%n %a %u:%g %F' . directory directory/file link; cat directory/file; echo
        echo more > directory/file; grep -c ' /covered tmpfs' /proc/self/mounts";
    let copied = run(with(&rootfs.shell(script), |spec| {
        add_mount(spec, "/covered", "tmpfs", Path::new("tmpfs"), &["tmpcopyup"]);
    }));
    let expected = ". 751 0:0 directory\ndirectory 755 0:0 directory\ndirectory/file 4640 1000:50 regular file\n\
                    link 777 0:0 symbolic link\ncontent\n1";
    assert_eq!(copied, expected);
    assert_eq!(fs::read_to_string(covered.join("directory/file")).unwrap(), "content");
    let read_only = rootfs.shell("cat /covered/directory/file; echo x > /covered/x || :");
    let launch = with(&read_only, |spec| {
        add_mount(spec, "/covered", "tmpfs", Path::new("tmpfs"), &["tmpcopyup", "ro", "mode=700"]);
    });
    let output = launch.start().unwrap().output(1000).unwrap();
    assert!(text(&output.stdout) == "content" && text(&output.stderr).contains("Read-only"), "{output:?}");
}

fn privileged_personality_and_io_priority_are_set() {
    let rootfs = Rootfs::new();
    let launch = with(&rootfs.shell("uname -m; ionice -p $$"), |spec| {
        let personality = serde_json::from_str(r#"{"domain": "LINUX32"}"#).unwrap();
        spec.linux_mut().as_mut().unwrap().set_personality(Some(personality));
        let priority = serde_json::from_str(r#"{"class": "IOPRIO_CLASS_IDLE", "priority": 0}"#).unwrap();
        spec.process_mut().as_mut().unwrap().set_io_priority(Some(priority));
    });
    let seen = run(launch);
    if cfg!(target_arch = "x86_64") {
        assert!(seen.starts_with("i686\n"), "{seen}");
    }
    assert!(seen.contains("idle"), "{seen}");
}

/// A hook that appends its name, the state's status and what it sees to a file.
pub fn hook(log: &Path, name: &str, ask: &str) -> Hook {
    let script =
        format!("echo {name} $(grep -o '\"status\":\"[a-z]*\"' | cut -d'\"' -f4) $({ask}) >> {}", log.display());
    HookBuilder::default().path("/bin/sh").args(["sh".to_owned(), "-c".into(), script]).env(Vec::new()).build().unwrap()
}

fn privileged_hooks_run_in_order_and_place() {
    let rootfs = Rootfs::new();
    let outside = tempfile::tempdir().unwrap();
    let log = outside.path().join("log");
    let inside = rootfs.path().join("tmp/log");
    let own = fs::read_link("/proc/self/ns/uts").unwrap();
    let place =
        format!("/bin/sh -c 'test $(readlink /proc/self/ns/uts) = {} && echo host || echo container'", own.display());
    let hooks: Hooks = HooksBuilder::default()
        .create_runtime([hook(&log, "createRuntime", &place)])
        .create_container([hook(&log, "createContainer", &place)])
        .start_container([hook(Path::new("/tmp/log"), "startContainer", &place)])
        .poststart([hook(&log, "poststart", &place)])
        .poststop([hook(&log, "poststop", &place)])
        .build()
        .unwrap();
    let config = ContainerConfig { hostname: Some("inside".into()), ..rootfs.shell("cat /tmp/log") };
    let launch = with(&config, |spec| _ = spec.set_hooks(Some(hooks)));
    assert_eq!(run(launch), "startContainer created container");
    assert!(inside.exists());
    let expected = "createRuntime creating host\ncreateContainer creating container\npoststart running host\n\
                    poststop stopped host\n";
    assert_eq!(fs::read_to_string(&log).unwrap(), expected);
}

fn privileged_a_failing_hook_ends_the_container() {
    let rootfs = Rootfs::new();
    let failing = || {
        let script = "echo on purpose >&2; exit 1".to_owned();
        HookBuilder::default().path("/bin/sh").args(["sh".to_owned(), "-c".into(), script]).build().unwrap()
    };
    let outside = tempfile::tempdir().unwrap();
    let log = outside.path().join("log");
    type Add = fn(HooksBuilder, Hook) -> HooksBuilder;
    let kinds: [(&str, Add); 4] = [
        ("createRuntime", |hooks, hook| hooks.create_runtime([hook])),
        ("createContainer", |hooks, hook| hooks.create_container([hook])),
        ("startContainer", |hooks, hook| hooks.start_container([hook])),
        ("poststart", |hooks, hook| hooks.poststart([hook])),
    ];
    for (name, add) in kinds {
        fs::write(&log, "").unwrap();
        let hooks = add(HooksBuilder::default(), failing()).poststop([hook(&log, "poststop", ":")]).build().unwrap();
        let launch = with(&rootfs.program(&["sleep", "100"]), |spec| _ = spec.set_hooks(Some(hooks)));
        let error = launch.start().unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("on purpose"), "{error}");
        assert_eq!(fs::read_to_string(&log).unwrap(), "poststop stopped\n", "{name}");
    }
}
