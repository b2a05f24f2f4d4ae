//! What the parent does for a container before its program runs.

use std::{
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    sync::mpsc,
};

use harness_runtime::{
    ContainerFile, Error, Launch, Prepare,
    config::{ContainerConfig, Network},
};

use crate::rootfs::{Rootfs, launch};

crate::tests![privileged_prepare_sees_the_new_namespace_and_adds_files, privileged_prepare_that_fails_ends_the_start,];

fn privileged_prepare_sees_the_new_namespace_and_adds_files() {
    let rootfs = Rootfs::new();
    let script = "readlink /proc/self/ns/net; cat /etc/hosts";
    let config = ContainerConfig { network: Network::Prepared, ..rootfs.shell(script) };
    let prepare = Prepare::new(|nascent| {
        let namespace = rustix::fs::fstat(nascent.network_namespace()?.as_fd())?.st_ino;
        let link = std::fs::read_link(format!("/proc/{}/ns/net", nascent.pid()))?;
        assert_eq!(link.to_str(), Some(format!("net:[{namespace}]").as_str()));
        assert_ne!(namespace, std::fs::metadata("/proc/self/ns/net")?.ino());
        let content = format!("{namespace}\n").into_bytes();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(vec![ContainerFile { path: "/etc/hosts".into(), content }])
    });
    let container = Launch { prepare: Some(prepare), ..launch(&config) }.start().unwrap();
    let seen = String::from_utf8(container.output(1000).unwrap().stdout).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 2, "{seen}");
    assert_eq!(lines[0], format!("net:[{}]", lines[1]));
}

fn privileged_prepare_that_fails_ends_the_start() {
    let rootfs = Rootfs::new();
    let (sender, pids) = mpsc::channel();
    let prepare = Prepare::new(move |nascent| {
        sender.send(nascent.pid()).unwrap();
        Err(io::Error::other("no cable"))
    });
    let error = Launch { prepare: Some(prepare), ..launch(&rootfs.program(&["true"])) }.start().unwrap_err();
    assert!(matches!(error, Error::Prepare { .. }), "{error:?}");
    assert_eq!((error.to_string().as_str(), error.status()), ("no cable", 125));
    assert!(!Path::new(&format!("/proc/{}", pids.recv().unwrap())).exists());
}
