//! From an OCI runtime specification to a [`Plan`].
//!
//! What this runtime does not do is refused by name, never passed over: a specification describes a container's walls.

mod cgroups;
mod device_rules;
mod devices;
mod mounts;
mod process;
mod refuse;
mod sysctls;
pub(crate) mod users;

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::{Error, Result, cgroup::Cgroup, plan::Plan};

/// Refuses what is not done here.
pub(crate) fn check(spec: &Spec) -> Result<()> {
    refuse::another_version(spec)?;
    refuse::unsupported(spec)
}

/// The plan for `spec`, which was checked, of a container with this `cgroup`; without what a [`Launch`](crate::Launch) adds.
pub(crate) fn plan(spec: &Spec, cgroup: Option<&Cgroup>) -> Result<Plan> {
    let linux = spec.linux().as_ref().ok_or_else(|| Error::invalid("linux", "it is missing"))?;
    let root = spec.root().as_ref().ok_or_else(|| Error::invalid("root", "it is missing"))?;
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let users = users::of_container(spec)?;
    let paths = |paths: &Option<Vec<String>>| -> Result<Vec<CString>> {
        paths.iter().flatten().map(|path| absolute("linux: a masked or read-only path", Path::new(path))).collect()
    };
    let namespaces = namespaces(spec)?;
    let joins_cgroup = namespaces.joined.iter().any(|(_, flag)| *flag == libc::CLONE_NEWCGROUP);
    let own = |kind| has_namespace(spec, kind);
    let named = |name: &Option<String>, what| -> Result<Option<CString>> {
        if name.is_some() && !own(LinuxNamespaceType::Uts) {
            return Err(Error::invalid(what, "it needs an own uts namespace"));
        }
        name.as_ref().map(|name| c_string(what, name.as_bytes())).transpose()
    };
    let mut readonly_paths = paths(linux.readonly_paths())?;
    readonly_paths.extend(mounts::read_only_cgroups(mounts)?);
    Ok(Plan {
        personality: process::personality(linux)?,
        hostname: named(spec.hostname(), "hostname")?,
        domainname: named(spec.domainname(), "domainname")?,
        loopback: namespaces.created & libc::CLONE_NEWNET != 0,
        new_cgroup_namespace: own(LinuxNamespaceType::Cgroup) && !joins_cgroup,
        rootfs: rootfs(root.path())?,
        readonly_rootfs: root.readonly().unwrap_or(false),
        mounts: mounts::steps(mounts, own(LinuxNamespaceType::Cgroup), cgroup, users.as_ref())?,
        devices: devices::nodes(linux.devices().as_deref().unwrap_or_default())?,
        known_devices_only: device_rules::known_only(linux)?,
        fill_dev: mounts::has_fresh_dev(mounts),
        masked_paths: paths(linux.masked_paths())?,
        readonly_paths,
        sysctls: sysctls::settings(linux.sysctl().as_ref(), &own)?,
        ..program(spec)?
    })
}

/// The part of the plan for `spec` that further programs of the container take over.
pub(crate) fn program(spec: &Spec) -> Result<Plan> {
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("process", "it is missing"))?;
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    Ok(Plan {
        io_priority: process::io_priority(process)?,
        rlimits: process::rlimits(process)?,
        oom_score_adj: process::oom_score_adj(process)?,
        process: process::process(process, seccomp)?,
        ..Plan::default()
    })
}

/// The namespaces of a container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces {
    /// Those that it does not share with this process, as `CLONE_NEW*` flags.
    pub(crate) all: i32,
    /// Those of them that its process is created in.
    pub(crate) created: i32,
    /// Those that exist and that it joins, by their files and flags.
    pub(crate) joined: Vec<(PathBuf, i32)>,
    /// The pid namespace that exists and that it is born in.
    pub(crate) pid: Option<PathBuf>,
}

impl Namespaces {
    /// Whether other processes than the container's are in its pid namespace.
    pub(crate) fn shares_processes(&self) -> bool {
        self.created & libc::CLONE_NEWPID == 0
    }
}

/// The namespaces that `spec` asks for.
pub(crate) fn namespaces(spec: &Spec) -> Result<Namespaces> {
    let mut found = Namespaces::default();
    for namespace in spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten() {
        let Some((_, flag, name)) = NAMESPACES.iter().find(|(kind, _, _)| *kind == namespace.typ()) else { continue };
        if found.all & flag != 0 {
            return Err(Error::invalid("linux.namespaces", format!("the {name} namespace is there twice")));
        }
        found.all |= flag;
        match namespace.path() {
            Some(path) if !path.is_absolute() => {
                return Err(Error::invalid(format!("linux.namespaces: {}", path.display()), "it has to be absolute"));
            }
            // Its children are in it, not a process that enters it (setns(2)).
            Some(path) if namespace.typ() == LinuxNamespaceType::Pid => found.pid = Some(path.clone()),
            Some(path) => found.joined.push((path.clone(), *flag)),
            // What its root is depends on the cgroup, which the init joins first.
            None if namespace.typ() == LinuxNamespaceType::Cgroup => {}
            None => found.created |= flag,
        }
    }
    if found.created & libc::CLONE_NEWNS == 0 {
        return Err(Error::Unsupported {
            what: "no own mount namespace".to_owned(),
            remedy: "a container here always has one",
        });
    }
    if found.created & libc::CLONE_NEWUSER != 0 && found.created & libc::CLONE_NEWPID == 0 {
        return Err(Error::Unsupported {
            what: "an own user namespace without an own pid namespace".to_owned(),
            remedy: "its /proc could not be mounted (user_namespaces(7))",
        });
    }
    Ok(found)
}

/// What can be new, with the names of the specification.
const NAMESPACES: [(LinuxNamespaceType, i32, &str); 7] = [
    (LinuxNamespaceType::Mount, libc::CLONE_NEWNS, "mount"),
    (LinuxNamespaceType::Pid, libc::CLONE_NEWPID, "pid"),
    (LinuxNamespaceType::Uts, libc::CLONE_NEWUTS, "uts"),
    (LinuxNamespaceType::Ipc, libc::CLONE_NEWIPC, "ipc"),
    (LinuxNamespaceType::Network, libc::CLONE_NEWNET, "network"),
    (LinuxNamespaceType::Cgroup, libc::CLONE_NEWCGROUP, "cgroup"),
    (LinuxNamespaceType::User, libc::CLONE_NEWUSER, "user"),
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
