//! Containers with users of their own: who they are on the host, and whose files they see.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use harness_runtime::{
    Exec, Exit, Launch, Stdio,
    config::{ContainerConfig, resolve_user},
};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::{
    engines::Engine,
    rootfs::{Rootfs, launch, text},
};

crate::tests![
    privileged_users_are_others_on_the_host,
    privileged_users_of_a_container_own_its_pipes,
    privileged_the_root_file_system_can_keep_its_owners,
    privileged_a_bind_mount_can_have_other_owners,
    privileged_root_of_a_container_is_nobody_on_the_host,
    privileged_programs_join_the_users_of_a_container,
    privileged_wrong_mappings_are_refused_by_name,
];

/// The host's id of the container's user 0.
const FIRST: u32 = 100_000;

fn mapped(config: &ContainerConfig) -> Launch {
    let launch = launch(config);
    let ids = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    let spec = changed(&launch.spec, |spec| {
        let linux = &mut spec["linux"];
        linux["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        linux["uidMappings"] = ids.clone();
        linux["gidMappings"] = ids;
    });
    Launch { spec, ..launch }
}

fn changed(spec: &Spec, change: impl FnOnce(&mut Value)) -> Spec {
    let mut value = serde_json::to_value(spec).unwrap();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

#[track_caller]
fn output(engine: Engine, launch: Launch) -> String {
    let container = engine.start(launch).unwrap_or_else(|error| panic!("{engine:?}: {error}"));
    let output = container.output(1 << 20).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.exit, stderr.as_str()), (Exit::Code(0), ""), "{engine:?}: {stdout}");
    stdout
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn privileged_users_are_others_on_the_host() {
    for engine in Engine::ALL {
        let rootfs = Rootfs::new();
        chown(rootfs.path().join("root"), Some(FIRST), Some(FIRST)).unwrap();
        let script =
            "tr -s ' ' < /proc/self/uid_map; id -u; id -g; stat -c '%u %g' /root /home; touch /root/new /tmp/new
                      cat /proc/sys/kernel/hostname; test -c /dev/null && echo x > /dev/null; ls /sys/class/net
                      grep -o 'CapEff.*' /proc/self/status | tr -d '\\t'";
        let config = ContainerConfig { hostname: Some("inside".into()), ..rootfs.shell(script) };
        let seen = output(engine, mapped(&config));
        let expected = " 0 100000 65536\n0\n0\n0 0\n65534 65534\ninside\nlo\nCapEff:00000000a80425fb";
        assert_eq!(seen, expected, "{engine:?}");
        assert_eq!(owner(&rootfs.path().join("root/new")), (FIRST, FIRST), "{engine:?}");
        let as_user = ContainerConfig { user: Some("1000:1001".into()), ..rootfs.shell("id -u; touch /tmp/users") };
        assert_eq!(output(engine, mapped(&as_user)), "1000", "{engine:?}");
        assert_eq!(owner(&rootfs.path().join("tmp/users")), (FIRST + 1000, FIRST + 1001), "{engine:?}");
    }
}

fn privileged_users_of_a_container_own_its_pipes() {
    let rootfs = Rootfs::new();
    for user in [None, Some("1000:1001".into())] {
        let config = ContainerConfig { user, ..rootfs.shell("echo x > /dev/stdout; echo y >> /dev/stdout") };
        assert_eq!(output(Engine::Ours, mapped(&config)), "x\ny");
    }
}

fn privileged_the_root_file_system_can_keep_its_owners() {
    let rootfs = Rootfs::new();
    chown(rootfs.path().join("home/user"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(rootfs.path().join("root"), fs::Permissions::from_mode(0o700)).unwrap();
    let config = rootfs.shell("stat -c '%u %g' /root /home/user; touch /root/new; chown 7:8 /root/new");
    let launch = Launch { map_root: true, ..mapped(&config) };
    assert_eq!(output(Engine::Ours, launch), "0 0\n1000 1001");
    assert_eq!(owner(&rootfs.path().join("root/new")), (7, 8));
}

fn privileged_a_bind_mount_can_have_other_owners() {
    let rootfs = Rootfs::new();
    fs::create_dir(rootfs.path().join("bound")).unwrap();
    // Nobody but root comes to what is in it.
    let hidden = tempfile::tempdir().unwrap();
    let source = hidden.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "").unwrap();
    chown(source.join("file"), Some(5), Some(6)).unwrap();
    let bind = |more: Value| {
        let mut mount = json!({"destination": "/bound", "type": "bind", "source": source, "options": ["bind"]});
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mount
    };
    let ids = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    for (more, expected) in [
        (json!({}), "65534 65534"),
        (json!({"uidMappings": ids, "gidMappings": ids}), "5 6"),
        (json!({"options": ["bind", "idmap"]}), "5 6"),
        (json!({"options": ["rbind", "ridmap"]}), "5 6"),
    ] {
        let launch = mapped(&rootfs.shell("stat -c '%u %g' /bound/file"));
        let spec = changed(&launch.spec, |spec| spec["mounts"].as_array_mut().unwrap().push(bind(more.clone())));
        assert_eq!(output(Engine::Ours, Launch { spec, ..launch }), expected, "{more}");
    }
    // Also where the container shares the host's users.
    let launch = launch(&rootfs.shell("stat -c '%u %g' /bound/file"));
    let spec = changed(&launch.spec, |spec| {
        spec["mounts"].as_array_mut().unwrap().push(bind(json!({"uidMappings": ids, "gidMappings": ids})));
    });
    assert_eq!(output(Engine::Ours, Launch { spec, ..launch }), "100005 100006");
}

fn privileged_root_of_a_container_is_nobody_on_the_host() {
    let rootfs = Rootfs::new();
    fs::write(rootfs.path().join("etc/secret"), "").unwrap();
    fs::set_permissions(rootfs.path().join("etc/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let script =
        "cat /etc/secret 2>/dev/null || echo denied; (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo denied
                  mknod /tmp/null c 1 3 2>/dev/null || echo denied; chown 0 /etc 2>/dev/null || echo denied";
    let config = ContainerConfig { privileged: true, ..rootfs.shell(script) };
    assert_eq!(output(Engine::Ours, mapped(&config)), "denied\ndenied\ndenied\ndenied");
}

fn privileged_programs_join_the_users_of_a_container() {
    let rootfs = Rootfs::new();
    let container = mapped(&rootfs.program(&["sleep", "1000"])).start().unwrap();
    for (user, expected) in [(None, "0\nx"), (Some("1000:1001"), "1000\nx")] {
        let user = user.map(|user| resolve_user(rootfs.path(), user, &[]).unwrap());
        let script = "id -u; tr -s ' ' < /proc/self/uid_map > /tmp/map; echo x > /dev/stdout";
        let exec = Exec { user, stdio: Stdio::Output, ..Exec::new(["sh", "-c", script]) };
        let output = container.exec(exec).unwrap().output(1 << 20).unwrap();
        assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), (expected, ""));
        assert_eq!(fs::read_to_string(rootfs.path().join("tmp/map")).unwrap(), " 0 100000 65536\n");
        fs::remove_file(rootfs.path().join("tmp/map")).unwrap();
    }
}

fn privileged_wrong_mappings_are_refused_by_name() {
    let rootfs = Rootfs::new();
    let ids = |inside: u32, outside: u32, size: u32| json!([{"containerID": inside, "hostID": outside, "size": size}]);
    let user = json!({"type": "user"});
    for (namespace, uids, named) in [
        (None, ids(0, FIRST, 10), "need an own user namespace"),
        (Some(&user), json!([]), "needs linux.uidMappings and linux.gidMappings"),
        (Some(&user), ids(1, FIRST, 10), "user 0 and group 0 of the container have to be mapped"),
        (Some(&user), ids(0, FIRST, 0), "0 100000 0 is no range of ids"),
        (Some(&user), ids(0, u32::MAX - 1, 10), "is no range of ids"),
        (Some(&json!({"type": "user", "path": "/proc/self/ns/user"})), ids(0, FIRST, 10), "joining a user namespace"),
    ] {
        let launch = launch(&rootfs.program(&["true"]));
        let spec = changed(&launch.spec, |spec| {
            let linux = &mut spec["linux"];
            linux["namespaces"].as_array_mut().unwrap().extend(namespace.cloned());
            linux["uidMappings"] = uids.clone();
            linux["gidMappings"] = uids.clone();
        });
        let error = Launch { spec, ..launch }.start().unwrap_err().to_string();
        assert!(error.contains(named), "{uids}: {error}");
    }
    // The kernel refuses what overlaps, and nothing is left of the container.
    let launch = mapped(&rootfs.program(&["true"]));
    let twice = json!([{"containerID": 0, "hostID": FIRST, "size": 10}, {"containerID": 5, "hostID": 7, "size": 10}]);
    let spec = changed(&launch.spec, |spec| spec["linux"]["uidMappings"] = twice);
    let error = Launch { spec, ..launch }.start().unwrap_err().to_string();
    assert!(error.contains("cannot map the ids"), "{error}");
}
