//! A root file system of busybox, and containers on it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use harness_runtime::{
    Container, Exit, Launch, Output, Result, Stdio,
    config::{ContainerConfig, spec},
};
use tempfile::TempDir;

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001:a user:/home/user:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nuser:x:1001:\nextra:x:50:user\nother:x:60:user,root\n";

/// A root file system, removed when dropped.
pub struct Rootfs(TempDir);

impl Rootfs {
    /// With busybox's programs in /bin and a few users.
    pub fn new() -> Self {
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "install busybox-static");
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["bin", "proc", "sys", "dev", "etc", "tmp", "root", "home", "home/user"] {
            fs::create_dir(path.join(directory)).unwrap();
        }
        fs::set_permissions(path.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy(busybox, path.join("bin/busybox")).unwrap();
        let list = Command::new(busybox).arg("--list").output().unwrap();
        for name in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", path.join("bin").join(name)).unwrap();
        }
        fs::write(path.join("etc/passwd"), USERS).unwrap();
        fs::write(path.join("etc/group"), GROUPS).unwrap();
        Self(root)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A configuration that runs `script` in the shell.
    pub fn shell(&self, script: &str) -> ContainerConfig {
        self.program(&["sh", "-c", script])
    }

    /// A configuration that runs a program.
    pub fn program(&self, args: &[&str]) -> ContainerConfig {
        ContainerConfig::new(self.path(), args.iter().copied())
    }
}

/// A launch of `config` with an id of its own.
pub fn launch(config: &ContainerConfig) -> Launch {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let id = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Launch { stdio: Stdio::Output, ..Launch::new(id, spec(config).unwrap()) }
}

/// Runs a container and collects what it writes.
pub fn run(config: &ContainerConfig) -> Output {
    start(config).unwrap().output(1 << 20).unwrap()
}

/// Starts a container.
pub fn start(config: &ContainerConfig) -> Result<Container> {
    launch(config).start()
}

/// What a successful container writes, without the last newline.
pub fn stdout(config: &ContainerConfig) -> String {
    let output = run(config);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.exit, Exit::Code(0), "stdout: {stdout}\nstderr: {stderr}");
    assert_eq!(stderr, "", "stdout: {stdout}");
    stdout
}

/// Bytes as text, without the last newline.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned()
}
