//! Mounts of a container.

use std::fs;

use harness_runtime::{
    ContainerFile, Exit, Launch, Stdio,
    config::{Bind, ContainerConfig, Tmpfs, spec},
};

use crate::rootfs::{Rootfs, launch, run, stdout, text};

crate::tests![
    privileged_binds_are_read_write_or_read_only,
    privileged_binds_take_mounts_below_with_them,
    privileged_single_files_are_bound,
    privileged_tmpfs_is_empty_and_limited,
    privileged_read_only_roots_refuse_writes,
    privileged_files_are_given_without_touching_the_image,
    privileged_writes_reach_the_root_file_system,
    privileged_missing_roots_and_sources_are_named,
    privileged_the_host_program_cannot_be_written_to,
];

fn bind(source: &std::path::Path, target: &str, read_only: bool) -> Bind {
    Bind { read_only, ..Bind::new(source, target) }
}

fn privileged_binds_are_read_write_or_read_only() {
    let rootfs = Rootfs::new();
    let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(closed.path().join("file"), "content").unwrap();
    let mut config =
        rootfs.shell("cat /closed/file; echo new > /open/file; touch /closed/x 2>&1; rm /closed/file 2>&1");
    config.binds = vec![bind(open.path(), "/open", false), bind(closed.path(), "/closed", true)];
    let said = text(&run(&config).stdout);
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    assert!(said.starts_with("content"));
    assert_eq!(fs::read(open.path().join("file")).unwrap(), b"new\n");
}

fn privileged_binds_take_mounts_below_with_them() {
    let rootfs = Rootfs::new();
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    rustix::mount::mount("tmpfs", &inner, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    fs::write(inner.join("file"), "below").unwrap();
    let mut config = rootfs.shell("cat /outer/inner/file; touch /outer/inner/x 2>&1");
    config.binds = vec![bind(outer.path(), "/outer", true)];
    let output = run(&config);
    rustix::mount::unmount(&inner, rustix::mount::UnmountFlags::empty()).unwrap();
    let said = text(&output.stdout);
    assert!(said.starts_with("below") && said.contains("Read-only file system"), "{said}");
}

fn privileged_single_files_are_bound() {
    let rootfs = Rootfs::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "one").unwrap();
    let mut config = rootfs.shell("cat /new/place; echo two > /new/place");
    config.binds = vec![bind(file.path(), "/new/place", false)];
    assert_eq!(stdout(&config), "one");
    assert_eq!(fs::read(file.path()).unwrap(), b"two\n");
}

fn privileged_tmpfs_is_empty_and_limited() {
    let rootfs = Rootfs::new();
    fs::write(rootfs.path().join("tmp/hidden"), "").unwrap();
    let mut config = rootfs.shell("ls -A /tmp; stat -f -c %T /tmp; head -c 100k /dev/zero > /tmp/x; stat -c %s /tmp/x");
    config.tmpfs = vec![Tmpfs { target: "/tmp".into(), options: vec!["size=64k".into()] }];
    let output = run(&config);
    assert_eq!(text(&output.stdout), "tmpfs\n65536");
    assert_ne!(text(&output.stderr), "");
}

fn privileged_read_only_roots_refuse_writes() {
    let rootfs = Rootfs::new();
    let script = "touch /x 2>&1; touch /tmp/x 2>&1; touch /dev/shm/x && echo shm; echo x > /dev/null && echo null";
    let config = ContainerConfig { read_only: true, ..rootfs.shell(script) };
    let said = stdout(&config);
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    assert!(said.ends_with("shm\nnull"), "{said}");
    fs::write(rootfs.path().join("x"), "the host's mount is as before").unwrap();
}

fn privileged_files_are_given_without_touching_the_image() {
    let rootfs = Rootfs::new();
    fs::write(rootfs.path().join("etc/hosts"), "of the image").unwrap();
    let config = rootfs.shell("cat /etc/hosts; echo more >> /etc/hosts; cat /etc/hosts; ls -A /proc/scsi 2>/dev/null; ls -l /etc/hosts | cut -c1-10");
    let file = ContainerFile { path: "/etc/hosts".into(), content: b"127.0.0.1 localhost\n".to_vec() };
    let output = Launch { files: vec![file], ..launch(&config) }.start().unwrap().output(1000).unwrap();
    assert_eq!(text(&output.stdout), "127.0.0.1 localhost\n127.0.0.1 localhost\nmore\n-rw-r--r--");
    assert_eq!(fs::read(rootfs.path().join("etc/hosts")).unwrap(), b"of the image");
}

fn privileged_writes_reach_the_root_file_system() {
    let rootfs = Rootfs::new();
    stdout(&rootfs.shell("mkdir /made; echo x > /made/file; chown 1000:1001 /made/file; mknod /made/dev b 7 0"));
    assert_eq!(fs::read(rootfs.path().join("made/file")).unwrap(), b"x\n");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(rootfs.path().join("made/file")).unwrap().uid(), 1000);
    assert_eq!(fs::symlink_metadata(rootfs.path().join("made/dev")).unwrap().rdev(), rustix::fs::makedev(7, 0));
}

fn privileged_missing_roots_and_sources_are_named() {
    let rootfs = Rootfs::new();
    let mut config = rootfs.program(&["true"]);
    config.binds = vec![bind("/no/such/source".as_ref(), "/x", false)];
    let error = launch(&config).start().unwrap_err().to_string();
    assert!(error.contains("/no/such/source"), "{error}");
    let mut spec = spec(&rootfs.program(&["true"])).unwrap();
    spec.root_mut().as_mut().unwrap().set_path("/no/such/root".into());
    let error = Launch { stdio: Stdio::Null, ..Launch::new("x", spec) }.start().unwrap_err().to_string();
    assert!(error.contains("/no/such/root"), "{error}");
}

/// While a container starts, and with a reaper for longer, its process 1 is the host's program. An image that executes
/// `/proc/self/exe` gets hold of it and could wait until nobody runs it any more to overwrite it.
fn privileged_the_host_program_cannot_be_written_to() {
    let rootfs = Rootfs::new();
    let before = fs::metadata("/proc/self/exe").unwrap().modified().unwrap();
    let mut script = rootfs.program(&["/evil"]);
    fs::write(rootfs.path().join("evil"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(rootfs.path().join("evil"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for args in [vec!["/evil".to_owned()], vec!["/proc/self/exe".to_owned()]] {
        script.args = args;
        // The program does not find its libraries in the image, or is no init without a socket: it must only end.
        if let Ok(container) = launch(&script).start() {
            assert_ne!(container.wait().unwrap(), Exit::Code(0));
        }
    }
    let config = rootfs.shell("cat < /proc/1/exe | head -c 4; (echo x >> /proc/1/exe) 2>&1");
    let output = Launch { init: true, ..launch(&config) }.start().unwrap().output(1000).unwrap();
    assert!(!output.exit.success());
    assert_eq!(fs::metadata("/proc/self/exe").unwrap().modified().unwrap(), before);
}
