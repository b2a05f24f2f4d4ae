//! Removing what somebody else still uses.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

use storage_driver::{Error, MountMode, StorageDriver};

use crate::support::{Place, create, id, make};

/// A process in a mount namespace of its own, which got copies of all mounts there were.
struct Holder {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Holder {
    /// Runs a command there, and then waits to be let go.
    fn start(command: &str) -> Self {
        let script = format!("{command} && echo ready && read line");
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare(1): install util-linux");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { stdin: child.stdin.take(), child }
    }

    fn mounts(&self) -> String {
        fs::read_to_string(format!("/proc/{}/mountinfo", self.child.id())).unwrap()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        let _ = self.child.wait();
    }
}

#[test]
fn privileged_a_mount_that_another_namespace_holds_is_no_hindrance() {
    let place = Place::new();
    let driver = place.open();
    make(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    create(&driver, "top", Some("base"));
    let layer = driver.mount(&id("top"), MountMode::ReadWrite).unwrap();
    let merged = layer.path().to_owned();
    let path = merged.to_str().unwrap();
    let idle = Holder::start("true");
    let busy = Holder::start(&format!("cd {path} && exec 3>open && echo text >&3"));
    assert!(idle.mounts().contains(path) && busy.mounts().contains(path));

    layer.close().unwrap();
    assert!(!merged.exists());
    assert!(!idle.mounts().contains(path), "it is still mounted there");
    driver.remove(&id("top")).unwrap();
    assert_eq!(place.names("layers"), ["base"]);
    assert!(place.names("trash").is_empty());

    // The name is free again, and what the other process still has open is not in the way.
    create(&driver, "top", Some("base"));
    let layer = driver.mount(&id("top"), MountMode::ReadWrite).unwrap();
    assert!(!layer.path().join("open").exists());
    layer.close().unwrap();
}

#[test]
fn privileged_unmounting_does_not_wait_for_open_files() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "a", None);
    let layer = driver.mount(&id("a"), MountMode::ReadWrite).unwrap();
    let mut open = File::create(layer.path().join("f")).unwrap();
    layer.close().unwrap();
    assert!(place.mounts().is_empty());
    // Mounted again while the old mount lives on in the open file (index=off).
    let layer = driver.mount(&id("a"), MountMode::ReadWrite).unwrap();
    open.write_all(b"late").unwrap();
    drop(open);
    layer.close().unwrap();
    driver.remove(&id("a")).unwrap();
}

#[test]
fn privileged_mounted_here_is_in_use() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "a", None);
    let first = driver.mount(&id("a"), MountMode::ReadWrite).unwrap();
    let second = driver.mount(&id("a"), MountMode::ReadWrite).unwrap();
    assert_eq!(first.path(), second.path());
    first.close().unwrap();
    assert!(matches!(driver.remove(&id("a")), Err(Error::InUse { .. })));
    assert!(matches!(driver.mount(&id("a"), MountMode::ReadOnly), Err(Error::InUse { .. })));
    assert_eq!(place.mounts(), [second.path()]);
    second.close().unwrap();
    driver.remove(&id("a")).unwrap();
}
