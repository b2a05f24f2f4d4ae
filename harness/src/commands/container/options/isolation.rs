//! The options about what a container shares with the host and with others, and what it may do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use harness_container::{Configuration, Device, Ipc, Seccomp, Share};

use super::pair;
use crate::{
    containers::Site,
    failure::{Failure, Result},
};

/// A container's walls.
#[derive(Debug, Clone, Args)]
pub struct IsolationOptions {
    /// Give the container users of its own: which of its ids are which of the host's (on vfs and btrfs; root only); may be
    /// given several times
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_parser = id_map)]
    uidmap: Vec<(u32, u32, u32)>,
    /// The same of groups [default: as --uidmap]
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_parser = id_map, requires = "uidmap")]
    gidmap: Vec<(u32, u32, u32)>,
    /// Whose users it has otherwise: host
    #[arg(long, value_name = "HOST", value_parser = ["host"], conflicts_with = "uidmap")]
    userns: Option<String>,
    /// Give a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAP")]
    cap_add: Vec<String>,
    /// Take a capability, or ALL
    #[arg(long, value_name = "CAP")]
    cap_drop: Vec<String>,
    /// All capabilities, no seccomp filter, nothing masked
    #[arg(long)]
    privileged: bool,
    /// seccomp=unconfined, seccomp=FILE, no-new-privileges[=false], or systempaths=unconfined
    #[arg(long, value_name = "NAME[=VALUE]")]
    security_opt: Vec<String>,
    /// A kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// A device of the host, or a directory of devices
    #[arg(long, value_name = "HOST[:CONTAINER][:rwm]")]
    device: Vec<String>,
    /// Further devices to open, as in 'c 42:* rwm' (with another --oci-runtime than the built-in one)
    #[arg(long, value_name = "RULE")]
    device_cgroup_rule: Vec<String>,
    /// Whose processes it sees [default: its own]
    #[arg(long, value_name = "host|container:NAME")]
    pid: Option<String>,
    /// Whose shared memory, semaphores and message queues it has [default: private]
    #[arg(long, value_name = "private|shareable|none|host|container:NAME")]
    ipc: Option<String>,
    /// Whose host name it has [default: its own]
    #[arg(long, value_name = "HOST", value_parser = ["host"])]
    uts: Option<String>,
    /// Whether its cgroup is the root of all for it [default: private on cgroup v2, host on v1]
    #[arg(long, value_name = "WHICH", value_parser = ["private", "host"])]
    cgroupns: Option<String>,
    /// The cgroup in which its own is made
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<PathBuf>,
}

impl IsolationOptions {
    /// What it says in the container's `configuration`.
    pub fn apply(&self, configuration: &mut Configuration, site: &Site) -> Result {
        configuration.uid_map.clone_from(&self.uidmap);
        configuration.gid_map.clone_from(if self.gidmap.is_empty() { &self.uidmap } else { &self.gidmap });
        configuration.cap_add.clone_from(&self.cap_add);
        configuration.cap_drop.clone_from(&self.cap_drop);
        configuration.privileged = self.privileged;
        configuration.sysctls = self.sysctl.iter().map(|text| pair("--sysctl", text)).collect::<Result<_>>()?;
        configuration.devices = self.device.iter().map(|text| device(text)).collect::<Result<_>>()?;
        configuration.device_rules.clone_from(&self.device_cgroup_rule);
        configuration.host_uts = self.uts.is_some();
        configuration.own_cgroup_namespace = self.cgroupns.as_ref().map(|which| which == "private");
        configuration.cgroup_parent.clone_from(&self.cgroup_parent);
        self.share(configuration, site)?;
        self.security(configuration)
    }

    fn share(&self, configuration: &mut Configuration, site: &Site) -> Result {
        let wrong = |option: &str, text: &str, known: &str| {
            Failure::usage(format!("{option} takes {known} and container:NAME, not {text:?}"))
        };
        let other = |text: &str| text.strip_prefix("container:").map(|name| site.find(name)).transpose();
        configuration.pid = match self.pid.as_deref() {
            None | Some("") => Share::None,
            Some("host") => Share::Host,
            Some(text) => Share::Container(other(text)?.ok_or_else(|| wrong("--pid", text, "host"))?.id),
        };
        configuration.ipc = match self.ipc.as_deref() {
            None | Some("" | "private") => Ipc::Private,
            Some("shareable") => Ipc::Shareable,
            Some("none") => Ipc::None,
            Some("host") => Ipc::Host,
            Some(text) => {
                let known = "private, shareable, none, host";
                Ipc::Container(other(text)?.ok_or_else(|| wrong("--ipc", text, known))?.id)
            }
        };
        Ok(())
    }

    fn security(&self, configuration: &mut Configuration) -> Result {
        for option in &self.security_opt {
            // Docker takes a colon as well.
            match option.split_once(['=', ':']).unwrap_or((option, "")) {
                ("seccomp", "unconfined") => configuration.seccomp = Seccomp::Unconfined,
                ("seccomp", file) if !file.is_empty() => {
                    let json = fs::read(file).with_context(|| format!("cannot read the seccomp profile {file}"))?;
                    let profile = serde_json::from_slice(&json);
                    let profile =
                        profile.map_err(|error| Failure::usage(format!("{file} is no seccomp profile: {error}")))?;
                    configuration.seccomp = Seccomp::Profile(profile);
                }
                ("no-new-privileges", "" | "true") => configuration.new_privileges = false,
                ("no-new-privileges", "false") => configuration.new_privileges = true,
                ("systempaths", "unconfined") => configuration.unmasked = true,
                // Containers here are under no profile and have no label in any case.
                ("apparmor", "unconfined") | ("label", "disable") => {}
                _ => {
                    let known = "seccomp=unconfined, seccomp=FILE, no-new-privileges and systempaths=unconfined";
                    return Err(Failure::usage(format!("--security-opt takes {known}, not {option:?}")));
                }
            }
        }
        Ok(())
    }
}

/// Docker's form: the second part is a path, or what may be done where it is nothing else.
fn device(text: &str) -> Result<Device> {
    let wrong = || Failure::usage(format!("--device takes HOST[:CONTAINER][:rwm] with absolute paths, not {text:?}"));
    let is_access = |part: &str| !part.is_empty() && part.chars().all(|letter| "rwm".contains(letter));
    let (source, target, access) = match text.split(':').collect::<Vec<_>>().as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, access] if is_access(access) => (*source, *source, *access),
        [source, target] => (*source, *target, "rwm"),
        [source, target, access] if is_access(access) => (*source, *target, *access),
        _ => return Err(wrong()),
    };
    if [source, target].iter().any(|path| !Path::new(path).is_absolute()) {
        return Err(wrong());
    }
    Ok(Device { source: source.into(), target: target.into(), access: access.to_owned() })
}

fn id_map(text: &str) -> Result<(u32, u32, u32), String> {
    let numbers: Vec<_> = text.split(':').map(str::parse::<u32>).collect();
    match numbers.as_slice() {
        [Ok(inside), Ok(outside), Ok(size)] if *size > 0 => Ok((*inside, *outside, *size)),
        _ => Err("three numbers are needed, such as 0:100000:65536".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_three_numbers() {
        assert_eq!(id_map("0:100000:65536"), Ok((0, 100_000, 65536)));
        for text in ["", "0", "0:1", "0:1:0", "0:1:2:3", "a:1:2", "0:-1:2", "0:1:2 "] {
            assert!(id_map(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_are_read_as_docker_has_them() {
        let read = |text: &str| device(text).map(|read| (read.source, read.target, read.access));
        let all = |source: &str, target: &str, access: &str| (source.into(), target.into(), access.to_owned());
        assert_eq!(read("/dev/fuse").unwrap(), all("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(read("/dev/fuse:rw").unwrap(), all("/dev/fuse", "/dev/fuse", "rw"));
        assert_eq!(read("/dev/sda:/dev/xvda:r").unwrap(), all("/dev/sda", "/dev/xvda", "r"));
        for text in ["", "fuse", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:r:w"] {
            assert!(device(text).is_err(), "{text}");
        }
    }
}
