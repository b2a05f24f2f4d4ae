//! From an OCI runtime specification to a [`Plan`].
//!
//! What this runtime does not do is refused by name, never passed over: a specification describes a container's walls.

mod device_rules;
mod devices;
mod mounts;
mod process;
mod refuse;
mod sysctls;

use std::{ffi::CString, path::Path};

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::{Error, Result, plan::Plan};

/// The plan for `spec`, without what a [`Launch`](crate::Launch) adds.
pub(crate) fn plan(spec: &Spec) -> Result<Plan> {
    refuse::unsupported(spec)?;
    let linux = spec.linux().as_ref().ok_or_else(|| Error::invalid("linux", "it is missing"))?;
    let root = spec.root().as_ref().ok_or_else(|| Error::invalid("root", "it is missing"))?;
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let paths = |paths: &Option<Vec<String>>| -> Result<Vec<CString>> {
        paths.iter().flatten().map(|path| absolute("linux: a masked or read-only path", Path::new(path))).collect()
    };
    let own = |kind| has_namespace(spec, kind);
    let named = |name: &Option<String>, what| -> Result<Option<CString>> {
        if name.is_some() && !own(LinuxNamespaceType::Uts) {
            return Err(Error::invalid(what, "it needs an own uts namespace"));
        }
        name.as_ref().map(|name| c_string(what, name.as_bytes())).transpose()
    };
    Ok(Plan {
        hostname: named(spec.hostname(), "hostname")?,
        domainname: named(spec.domainname(), "domainname")?,
        loopback: own(LinuxNamespaceType::Network),
        rootfs: rootfs(root.path())?,
        readonly_rootfs: root.readonly().unwrap_or(false),
        mounts: mounts::steps(mounts)?,
        devices: devices::nodes(linux.devices().as_deref().unwrap_or_default())?,
        known_devices_only: device_rules::known_only(linux)?,
        fill_dev: mounts::has_fresh_dev(mounts),
        masked_paths: paths(linux.masked_paths())?,
        readonly_paths: paths(linux.readonly_paths())?,
        sysctls: sysctls::settings(linux.sysctl().as_ref(), &own)?,
        ..program(spec)?
    })
}

/// The part of the plan for `spec` that further programs of the container take over.
pub(crate) fn program(spec: &Spec) -> Result<Plan> {
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("process", "it is missing"))?;
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    Ok(Plan {
        rlimits: process::rlimits(process)?,
        oom_score_adj: process.oom_score_adj(),
        process: process::process(process, seccomp)?,
        ..Plan::default()
    })
}

/// The `CLONE_NEW*` flags of the new namespaces that `spec` asks for.
pub(crate) fn namespaces(spec: &Spec) -> Result<i32> {
    let mut flags = 0;
    for (kind, flag, _) in NAMESPACES {
        if has_namespace(spec, kind) {
            flags |= flag;
        }
    }
    for (kind, flag, name) in NAMESPACES {
        let required = matches!(kind, LinuxNamespaceType::Mount | LinuxNamespaceType::Pid);
        if required && flags & flag == 0 {
            return Err(Error::Unsupported {
                what: format!("no own {name} namespace"),
                remedy: "a container here always has an own mount and pid namespace",
            });
        }
    }
    Ok(flags)
}

/// What can be new, with the names of the specification.
const NAMESPACES: [(LinuxNamespaceType, i32, &str); 6] = [
    (LinuxNamespaceType::Mount, libc::CLONE_NEWNS, "mount"),
    (LinuxNamespaceType::Pid, libc::CLONE_NEWPID, "pid"),
    (LinuxNamespaceType::Uts, libc::CLONE_NEWUTS, "uts"),
    (LinuxNamespaceType::Ipc, libc::CLONE_NEWIPC, "ipc"),
    (LinuxNamespaceType::Network, libc::CLONE_NEWNET, "network"),
    (LinuxNamespaceType::Cgroup, libc::CLONE_NEWCGROUP, "cgroup"),
];

fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.into_iter().flatten().any(|namespace| namespace.typ() == kind)
}

fn rootfs(path: &Path) -> Result<CString> {
    let what = || format!("root.path {}", path.display());
    if !path.is_absolute() {
        return Err(Error::invalid(what(), "it has to be absolute"));
    }
    // The init opens it in its own view of the host, so links through /proc/self must be resolved here.
    let real = path.canonicalize().map_err(|error| Error::invalid(what(), error.to_string()))?;
    if real.parent().is_none() {
        return Err(Error::invalid(what(), "the host's own root cannot be a container's"));
    }
    if !real.is_dir() {
        return Err(Error::invalid(what(), "it is not a directory"));
    }
    c_string("root.path", real.as_os_str().as_encoded_bytes())
}

/// `bytes` for the kernel.
pub(crate) fn c_string(what: &str, bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::invalid(what, "it holds a NUL byte"))
}

/// An absolute path for the kernel.
pub(crate) fn absolute(what: &str, path: &Path) -> Result<CString> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!("{what} {}", path.display()), "it has to be absolute"));
    }
    c_string(what, path.as_os_str().as_encoded_bytes())
}
