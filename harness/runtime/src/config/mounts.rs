//! What is mounted in a container, in the specification's form.

use std::path::Path;

use oci_spec::runtime::{Mount, MountBuilder};

use super::{Cgroups, ContainerConfig, Namespace, Shm, spec::invalid, user};
use crate::Result;

const SHM: &str = "/dev/shm";
const MQUEUE: &str = "/dev/mqueue";

/// In order.
pub(super) fn mounts(config: &ContainerConfig) -> Result<Vec<Mount>> {
    let sys = if config.privileged { "rw" } else { "ro" };
    let mut terminals = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // The group tty, by whose members terminals can be written to. A user namespace without it goes without.
    if user::is_group_mapped(5) {
        terminals.push("gid=5");
    }
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", "devpts", &terminals)?,
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys])?,
    ];
    mounts.push(match &config.ipc {
        // A host on which nobody uses it may not have it mounted.
        Namespace::Host if Path::new(MQUEUE).is_dir() => {
            mount(MQUEUE, "bind", MQUEUE, &["rbind", "nosuid", "noexec", "nodev"])?
        }
        _ => mount(MQUEUE, "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
    });
    mounts.extend(shm(config)?);
    if config.cgroups != Cgroups::Hidden {
        mounts.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", sys])?);
    }
    for tmpfs in &config.tmpfs {
        let mut options = vec!["noexec", "nosuid", "nodev"];
        options.extend(tmpfs.options.iter().map(String::as_str));
        mounts.push(mount(&tmpfs.target, "tmpfs", "tmpfs", &options)?);
    }
    for bind in &config.binds {
        let access = if bind.read_only { "rro" } else { "rw" };
        let kind = if bind.recursive { "rbind" } else { "bind" };
        mounts.push(mount(&bind.target, "bind", &bind.source, &[kind, bind.propagation, access])?);
    }
    Ok(mounts)
}

fn shm(config: &ContainerConfig) -> Result<Option<Mount>> {
    let size = format!("size={}", config.shm_size);
    match &config.shm {
        Shm::Nothing => Ok(None),
        Shm::New => mount(SHM, "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]).map(Some),
        Shm::Of(source) => mount(SHM, "bind", source, &["rbind", "rprivate", "nosuid", "noexec", "nodev"]).map(Some),
    }
}

fn mount(target: impl AsRef<Path>, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Result<Mount> {
    MountBuilder::default()
        .destination(target.as_ref())
        .typ(kind)
        .source(source.as_ref())
        .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
        .build()
        .map_err(invalid)
}
