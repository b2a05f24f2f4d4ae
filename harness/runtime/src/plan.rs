//! What the init has to do, worked out by the parent to the last detail, so that the init only acts.

use std::ffi::CString;

use crate::wire::{Blob, Malformed, Wire, wire_struct};

wire_struct! {
    /// One container's set-up.
    Plan {
        /// Host name, if the container has an own uts namespace.
        hostname: Option<CString>,
        /// NIS domain name.
        domainname: Option<CString>,
        /// Whether the container has an own network namespace, whose loopback interface has to be set up.
        loopback: bool,
        /// Absolute path of the root file system on the host.
        rootfs: CString,
        readonly_rootfs: bool,
        /// In order.
        mounts: Vec<MountStep>,
        /// Device nodes, made in a `/dev` that is one of `mounts`.
        devices: Vec<Device>,
        /// Whether device nodes can be opened only if they are among `devices` (or terminals), whoever makes others.
        known_devices_only: bool,
        /// Whether one of `mounts` is a fresh `/dev` to be filled.
        fill_dev: bool,
        files: Vec<File>,
        masked_paths: Vec<CString>,
        readonly_paths: Vec<CString>,
        sysctls: Vec<Setting>,
        rlimits: Vec<Rlimit>,
        oom_score_adj: Option<i32>,
        /// Number of descriptors of cgroups' `tasks` files, after the control socket.
        cgroups: u32,
        /// Number of descriptors of namespaces to join, after those of the cgroups.
        entered: u32,
        /// Number of descriptors of mounts that the parent has made, after all others: of the root file system and of the
        /// bind mounts, in order; 0 where the init makes them.
        given: u32,
        /// Whether the container sees its cgroup as the root of all.
        new_cgroup_namespace: bool,
        /// See personality(2).
        personality: Option<u32>,
        /// See ioprio_set(2).
        io_priority: Option<u32>,
        /// The namespaces (`CLONE_NEW*`) of a running container to join, 0 for a new container. A descriptor of its
        /// process 1 follows those of the cgroups; of the rest of the plan only what concerns the program counts.
        join: u32,
        terminal: Option<Terminal>,
        /// Whether standard streams are pipes that the container's user shall own.
        own_stdio: bool,
        /// Whether the container is killed when its parent dies.
        die_with_parent: bool,
        hooks: Option<Hooks>,
        process: Process,
    }
}

wire_struct! {
    /// What else is run while the container starts.
    Hooks {
        /// Whether the parent has hooks to run before the root is changed.
        asks: bool,
        /// The container's state for hooks, before and after it is created.
        creating: Blob,
        created: Blob,
        create_container: Vec<Hook>,
        start_container: Vec<Hook>,
    }
}

wire_struct! {
    /// A program of somebody else.
    Hook {
        path: CString,
        /// With its name.
        args: Vec<CString>,
        env: Vec<CString>,
        /// In seconds.
        timeout: Option<u64>,
    }
}

wire_struct! {
    /// One mount.
    MountStep {
        /// In the container.
        target: CString,
        source: Source,
        /// Bits of `MOUNT_ATTR_*`.
        set: u64,
        clear: u64,
        /// Whether the attributes are for all mounts below as well.
        recursive: bool,
        propagation: Option<Propagation>,
        /// Whether a new file system starts with what it covers.
        copy_up: bool,
        /// Whose files those of a bind mount are in the container.
        mapping: Option<Mapping>,
    }
}

wire_struct! {
    /// Which ids of a container are which of the host.
    Mapping {
        uids: Vec<IdRange>,
        gids: Vec<IdRange>,
        /// Of a mount: whether it is for all mounts below as well.
        recursive: bool,
    }
}

wire_struct! {
    /// Ids one after the other.
    IdRange {
        inside: u32,
        outside: u32,
        count: u32,
    }
}

impl IdRange {
    /// The host's id.
    fn outside(&self, inside: u32) -> Option<u32> {
        let offset = inside.checked_sub(self.inside).filter(|offset| *offset < self.count)?;
        self.outside.checked_add(offset)
    }
}

impl Mapping {
    /// A user of the container's, as the host counts.
    pub(crate) fn uid(&self, inside: u32) -> Option<u32> {
        self.uids.iter().find_map(|range| range.outside(inside))
    }

    /// A group of the container's.
    pub(crate) fn gid(&self, inside: u32) -> Option<u32> {
        self.gids.iter().find_map(|range| range.outside(inside))
    }
}

wire_struct! {
    /// Whether mounts and unmounts below a mount reach its peers.
    Propagation {
        /// `MS_SHARED` and the like.
        flags: u64,
        recursive: bool,
    }
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A new file system.
    New { fstype: CString, name: CString, options: Vec<Setting> },
    /// A file or directory of the host.
    Bind { path: CString, recursive: bool },
}

impl Default for Source {
    fn default() -> Self {
        Self::Bind { path: CString::default(), recursive: false }
    }
}

impl Wire for Source {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::New { fstype, name, options } => {
                0u8.put(out);
                fstype.put(out);
                name.put(out);
                options.put(out);
            }
            Self::Bind { path, recursive } => {
                1u8.put(out);
                path.put(out);
                recursive.put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(input)? {
            0 => Ok(Self::New { fstype: Wire::take(input)?, name: Wire::take(input)?, options: Wire::take(input)? }),
            1 => Ok(Self::Bind { path: Wire::take(input)?, recursive: Wire::take(input)? }),
            _ => Err(Malformed),
        }
    }
}

wire_struct! {
    /// A key with a value, or alone.
    Setting {
        key: CString,
        value: Option<CString>,
    }
}

wire_struct! {
    /// A device node.
    Device {
        path: CString,
        /// Type and permission bits, as in `st_mode`.
        mode: u32,
        major: u32,
        minor: u32,
        uid: u32,
        gid: u32,
    }
}

wire_struct! {
    /// A small file that is there in the container without being in its root file system.
    File {
        path: CString,
        content: Blob,
    }
}

wire_struct! {
    /// A limit of setrlimit(2).
    Rlimit {
        /// `RLIMIT_*`.
        resource: u32,
        soft: u64,
        hard: u64,
    }
}

wire_struct! {
    /// A terminal's size.
    Terminal {
        rows: u32,
        columns: u32,
    }
}

wire_struct! {
    /// The program and who runs it.
    Process {
        args: Vec<CString>,
        env: Vec<CString>,
        cwd: CString,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        umask: u32,
        capabilities: Capabilities,
        no_new_privileges: bool,
        seccomp: Option<Filter>,
        /// Whether a reaper is process 1 and the program its child.
        reaper: bool,
        /// Whether the program is not a file of the image but one of this program's own roles, by its name.
        role: bool,
    }
}

wire_struct! {
    /// Capability sets, bit by number.
    Capabilities {
        bounding: u64,
        effective: u64,
        permitted: u64,
        inheritable: u64,
        ambient: u64,
    }
}

wire_struct! {
    /// A compiled seccomp filter.
    Filter {
        instructions: Blob,
        flags: u64,
    }
}
