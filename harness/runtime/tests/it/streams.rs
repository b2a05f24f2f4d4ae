//! Standard streams and exits.

use harness_runtime::Exit;

use crate::rootfs::{Rootfs, run, start, stdout};

crate::tests![privileged_output_and_status_come_back, privileged_missing_programs_are_127_and_others_126,];

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
