//! Standard streams and exits.

use std::os::unix::fs::{MetadataExt, chown};

use harness_runtime::{Exec, Exit, Launch, Stdio, config::ContainerConfig};

use crate::{
    execs::said,
    rootfs::{Rootfs, launch, run, start, stdout},
};

crate::tests![
    privileged_output_and_status_come_back,
    privileged_missing_programs_are_127_and_others_126,
    privileged_users_own_their_pipes_and_nothing_of_the_host,
];

fn privileged_output_and_status_come_back() {
    let rootfs = Rootfs::new();
    assert_eq!(stdout(&rootfs.program(&["echo", "hello", "there"])), "hello there");
    let output = run(&rootfs.shell("echo out; echo err >&2; exit 7"));
    assert_eq!((output.exit, output.stdout, output.stderr), (Exit::Code(7), b"out\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(run(&rootfs.shell("sh -c 'kill -9 $$'; exit $?")).exit, Exit::Code(137));
}

fn privileged_missing_programs_are_127_and_others_126() {
    let rootfs = Rootfs::new();
    std::fs::write(rootfs.path().join("etc/text"), "text").unwrap();
    for (program, status, message) in [
        ("foo", 127, "exec: \"foo\": executable file not found in $PATH"),
        ("/foo", 127, "exec: \"/foo\": stat /foo: no such file or directory"),
        ("/etc/text", 126, "exec: \"/etc/text\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
    ] {
        let error = start(&rootfs.program(&[program])).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (status, message));
    }
}

/// The container's user can open its pipes anew; the host's /dev/null, which is its input, stays the host's.
fn privileged_users_own_their_pipes_and_nothing_of_the_host() {
    let owner = || {
        let null = std::fs::metadata("/dev/null").unwrap();
        (null.uid(), null.gid())
    };
    let before = owner();
    let rootfs = Rootfs::new();
    let user = |config| ContainerConfig { user: Some("user".into()), ..config };
    let output = stdout(&user(rootfs.shell("echo anew > /dev/stdout; stat -L -c %u /dev/stdout; cat")));
    let first = owner();
    let config = user(rootfs.program(&["sleep", "100"]));
    let container = Launch { stdio: Stdio::Null, ..launch(&config) }.start().unwrap();
    let script = "echo anew > /dev/stdout; stat -L -c %u /dev/stdout; cat";
    let second = said(&container, Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", script]) });
    let after = owner();
    // Whatever went wrong, this machine is to be as it was.
    let _ = chown("/dev/null", Some(before.0), Some(before.1));
    assert_eq!((output.as_str(), second.as_str()), ("anew\n1000", "anew\n1000"));
    assert_eq!((first, after), (before, before));
}
