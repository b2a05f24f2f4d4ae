//! Resource limits by number and by the names of the OCI specification.

use oci_spec::runtime::PosixRlimitType;
use rustix::process::Resource;

/// Number (`RLIMIT_*`), kernel interface, name.
const ALL: [(PosixRlimitType, Resource, &str); 16] = [
    (PosixRlimitType::RlimitCpu, Resource::Cpu, "RLIMIT_CPU"),
    (PosixRlimitType::RlimitFsize, Resource::Fsize, "RLIMIT_FSIZE"),
    (PosixRlimitType::RlimitData, Resource::Data, "RLIMIT_DATA"),
    (PosixRlimitType::RlimitStack, Resource::Stack, "RLIMIT_STACK"),
    (PosixRlimitType::RlimitCore, Resource::Core, "RLIMIT_CORE"),
    (PosixRlimitType::RlimitRss, Resource::Rss, "RLIMIT_RSS"),
    (PosixRlimitType::RlimitNproc, Resource::Nproc, "RLIMIT_NPROC"),
    (PosixRlimitType::RlimitNofile, Resource::Nofile, "RLIMIT_NOFILE"),
    (PosixRlimitType::RlimitMemlock, Resource::Memlock, "RLIMIT_MEMLOCK"),
    (PosixRlimitType::RlimitAs, Resource::As, "RLIMIT_AS"),
    (PosixRlimitType::RlimitLocks, Resource::Locks, "RLIMIT_LOCKS"),
    (PosixRlimitType::RlimitSigpending, Resource::Sigpending, "RLIMIT_SIGPENDING"),
    (PosixRlimitType::RlimitMsgqueue, Resource::Msgqueue, "RLIMIT_MSGQUEUE"),
    (PosixRlimitType::RlimitNice, Resource::Nice, "RLIMIT_NICE"),
    (PosixRlimitType::RlimitRtprio, Resource::Rtprio, "RLIMIT_RTPRIO"),
    (PosixRlimitType::RlimitRttime, Resource::Rttime, "RLIMIT_RTTIME"),
];

/// The kernel's number of `kind`.
pub(crate) fn number(kind: PosixRlimitType) -> Option<u32> {
    ALL.iter().find(|(k, _, _)| *k == kind).map(|(_, resource, _)| *resource as u32)
}

/// The resource with the kernel's `number`, and its name.
pub(crate) fn by_number(number: u32) -> Option<(Resource, &'static str)> {
    ALL.iter().find(|(_, resource, _)| *resource as u32 == number).map(|(_, resource, name)| (*resource, *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_resources_agree() {
        for (kind, resource, name) in ALL {
            let number = number(kind).unwrap();
            assert_eq!(by_number(number), Some((resource, name)));
        }
        assert_eq!(number(PosixRlimitType::RlimitNofile), Some(libc::RLIMIT_NOFILE));
        assert_eq!(number(PosixRlimitType::RlimitRttime), Some(libc::RLIMIT_RTTIME));
    }
}
