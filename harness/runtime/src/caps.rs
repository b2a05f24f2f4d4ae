//! Capabilities by number.

use oci_spec::runtime::{Capabilities, Capability};

/// In the order of their numbers (linux/capability.h).
const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// What docker leaves to a container.
pub(crate) const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::SysChroot,
    Capability::Mknod,
    Capability::AuditWrite,
    Capability::Setfcap,
];

/// All that can be given: those that this process has itself.
pub(crate) fn all() -> impl Iterator<Item = Capability> {
    let own = rustix::thread::capabilities(None).map(|sets| sets.permitted.bits()).unwrap_or_default();
    BY_NUMBER.into_iter().enumerate().filter(move |(number, _)| own & (1 << number) != 0).map(|(_, of)| of)
}

/// The set as the kernel has it.
pub(crate) fn bits(set: &Capabilities) -> u64 {
    let numbers = BY_NUMBER.iter().enumerate().filter(|(_, capability)| set.contains(*capability));
    numbers.map(|(number, _)| 1 << number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_set_that_docker_shows() {
        // CapBnd of a container in /proc/self/status.
        assert_eq!(bits(&DEFAULT.into_iter().collect()), 0x0000_0000_a804_25fb);
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(bits(&[Capability::SysAdmin].into()), 1 << 21);
        assert_eq!(bits(&[Capability::CheckpointRestore].into()), 1 << 40);
        assert_eq!(bits(&BY_NUMBER.into_iter().collect()), (1 << 41) - 1);
    }
}
