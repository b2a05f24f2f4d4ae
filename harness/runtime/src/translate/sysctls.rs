//! Kernel parameters that belong to a namespace of the container.

use std::collections::HashMap;

use oci_spec::runtime::LinuxNamespaceType;

use super::c_string;
use crate::{Error, Result, plan::Setting};

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The files to write, sorted; a parameter that would change the host is refused.
pub(super) fn settings(
    sysctls: Option<&HashMap<String, String>>,
    own: &dyn Fn(LinuxNamespaceType) -> bool,
) -> Result<Vec<Setting>> {
    let mut sorted: Vec<_> = sysctls.into_iter().flatten().collect();
    sorted.sort();
    sorted.into_iter().map(|(name, value)| setting(name, value, own)).collect()
}

fn setting(name: &str, value: &str, own: &dyn Fn(LinuxNamespaceType) -> bool) -> Result<Setting> {
    let what = || format!("linux.sysctl {name}");
    let namespace = if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        LinuxNamespaceType::Ipc
    } else if name.starts_with("net.") {
        LinuxNamespaceType::Network
    } else if name == "kernel.domainname" {
        LinuxNamespaceType::Uts
    } else {
        return Err(Error::invalid(what(), "it belongs to the whole host"));
    };
    if !own(namespace) {
        return Err(Error::invalid(what(), format!("it needs an own {namespace} namespace")));
    }
    if name.contains('/') || name.split('.').any(str::is_empty) {
        return Err(Error::invalid(what(), "it is no parameter's name"));
    }
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let (key, value) = (c_string("linux.sysctl", path.as_bytes())?, c_string("linux.sysctl", value.as_bytes())?);
    Ok(Setting { key, value: Some(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_parameters_pass() {
        let all = |_| true;
        assert_eq!(setting("net.ipv4.ip_forward", "1", &all).unwrap().key.as_c_str(), c"/proc/sys/net/ipv4/ip_forward");
        for name in ["kernel.panic", "vm.swappiness", "net.a/../b", "net..x", "fs.file-max"] {
            assert!(setting(name, "1", &all).is_err(), "{name}");
        }
        assert!(setting("net.core.somaxconn", "1", &|kind| kind != LinuxNamespaceType::Network).is_err());
    }
}
