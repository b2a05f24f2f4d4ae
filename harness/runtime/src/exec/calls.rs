use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::process::Pid;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// mount_setattr(2) on the mount that `mount` refers to, with all mounts below it when `recursive`.
pub(crate) fn mount_set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> io::Result<()> {
    set_attributes(mount, recursive, libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 })
}

/// Gives the files of a mount that is attached nowhere other owners: those that `users`, a user namespace, maps the ones on
/// disk to (mount_setattr(2), MOUNT_ATTR_IDMAP; Linux 5.12).
pub(crate) fn map_owners(mount: BorrowedFd<'_>, recursive: bool, users: BorrowedFd<'_>) -> io::Result<()> {
    let userns_fd = u64::from(users.as_raw_fd().unsigned_abs());
    let attr_set = libc::MOUNT_ATTR_IDMAP;
    set_attributes(mount, recursive, libc::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd })
}

fn set_attributes(mount: BorrowedFd<'_>, recursive: bool, attributes: libc::mount_attr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (fd, attributes) = (mount.as_raw_fd(), &raw const attributes);
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path is an empty NUL-terminated string, the structure is alive and has the size that is passed.
    check(unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, attributes, size) }).map(drop)
}

/// Closes all descriptors from `first` on.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    close_range(first, 0)
}

/// Sets close-on-exec on all descriptors from `first` on.
pub(crate) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range(2) takes numbers only. Closing is asked for by the init alone, before it owns any descriptor
    // in the range.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) }).map(drop)
}

/// The kernel's `struct sigaction` (handler, flags, restorer, mask) for `SIG_DFL`.
const DEFAULT_ACTION: [u64; 4] = [0; 4];
/// The size of the kernel's signal sets in bytes.
const SIGNAL_SET_SIZE: usize = 8;

/// Gives every signal its default disposition and unblocks all, since both pass through execve(2).
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        let (none, old) = (DEFAULT_ACTION.as_ptr(), ptr::null_mut::<u64>());
        // SAFETY: the action has the size of the kernel's structure and names no function of ours. The two signals that
        // cannot be changed give an error, which is right: they are at their default already. The C library's function
        // is not used as it refuses the signals that it keeps to itself, which may have been inherited ignored.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, old, SIGNAL_SET_SIZE) };
    }
    set_signal_mask(&empty_signal_set())
}

fn empty_signal_set() -> libc::sigset_t {
    // SAFETY: a signal set is a plain array of integers for which all zeroes is the empty set.
    unsafe { mem::zeroed() }
}

fn set_signal_mask(set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised; a null pointer for the old one is allowed.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// All signals, blocked and waited for instead.
pub(crate) struct BlockedSignals(libc::sigset_t);

/// Blocks all signals of this process, which has one thread only.
pub(crate) fn block_signals() -> io::Result<BlockedSignals> {
    let mut all = empty_signal_set();
    // SAFETY: `all` is a valid set.
    unsafe { libc::sigfillset(&raw mut all) };
    set_signal_mask(&all)?;
    Ok(BlockedSignals(all))
}

impl BlockedSignals {
    /// Takes the next signal, waiting for it.
    pub(crate) fn next(&self) -> io::Result<i32> {
        let mut signal = 0;
        // SAFETY: both pointers are to live values.
        match unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } {
            0 => Ok(signal),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Forks this process, which has one thread only: the caller is the init or its reaper.
///
/// Returns the child's id in the parent, `None` in the child.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the init never starts a thread, so the child has the whole program in a consistent state.
    let pid = check(libc::c_long::from(unsafe { libc::fork() }))?;
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Pid::from_raw(pid))
}

/// Starts a session with `terminal` as its controlling terminal.
pub(crate) fn setsid_and_take_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(terminal)?;
    Ok(())
}

/// Sets the loopback interface up, as `ip link set lo up` does.
pub(crate) fn bring_up_loopback() -> io::Result<()> {
    // SAFETY: socket(2) takes numbers only.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    let socket = RawFd::try_from(socket).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: a fresh descriptor that nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: the structure is plain data for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = up as libc::c_short;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: SIOCSIFFLAGS reads the interface's name and flags from the structure, see netdevice(7).
    check(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// The `CLONE_NEW*` flag of the namespace whose file this is (NS_GET_NSTYPE(2const)).
pub(crate) fn namespace_kind(file: BorrowedFd<'_>) -> io::Result<i32> {
    /// `_IO(0xb7, 3)`.
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this ioctl(2) takes no argument and touches no memory.
    let kind = check(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) }.into())?;
    i32::try_from(kind).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Makes the process's cgroups the roots of a new cgroup namespace.
pub(crate) fn unshare_cgroup_namespace() -> io::Result<()> {
    // SAFETY: unshare(2) of this namespace has no effect on memory or descriptors.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into()).map(drop)
}

/// Sets the personality(2), which executed programs keep.
pub(crate) fn set_personality(persona: u32) -> io::Result<()> {
    // SAFETY: personality(2) takes a number only.
    check(unsafe { libc::personality(persona.into()) }.into()).map(drop)
}

/// Sets class and priority of this process's I/O, see ioprio_set(2).
pub(crate) fn set_io_priority(priority: u32) -> io::Result<()> {
    /// `IOPRIO_WHO_PROCESS` of linux/ioprio.h.
    const PROCESS: libc::c_int = 1;
    // SAFETY: ioprio_set(2) takes numbers only; 0 is the calling thread.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, priority) }).map(drop)
}

/// The highest capability number that this kernel knows.
pub(crate) fn cap_last() -> u32 {
    // Asking for a capability beyond the last one gives EINVAL, see PR_CAPBSET_READ(2const).
    let known = |capability: u32| {
        // SAFETY: this prctl(2) takes numbers only.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) >= 0 }
    };
    (0..64).take_while(|&capability| known(capability)).last().unwrap_or(0)
}

/// Flags of seccomp(2)'s `SECCOMP_SET_MODE_FILTER`.
pub(crate) type SeccompFlags = libc::c_ulong;

/// Installs a seccomp filter of `struct sock_filter` instructions (8 bytes each, native byte order).
pub(crate) fn add_seccomp_filter(instructions: &[u8], flags: SeccompFlags) -> io::Result<()> {
    let filters: Vec<libc::sock_filter> = instructions
        .chunks_exact(8)
        .map(|i| libc::sock_filter {
            code: u16::from_ne_bytes([i[0], i[1]]),
            jt: i[2],
            jf: i[3],
            k: u32::from_ne_bytes([i[4], i[5], i[6], i[7]]),
        })
        .collect();
    let len = u16::try_from(filters.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: filters.as_ptr().cast_mut() };
    let program = &raw const program;
    // SAFETY: the program's pointer and length describe `filters`, which lives until the call ends; the kernel copies
    // and verifies it and does not write to it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, program) }).map(drop)
}

/// Takes over the descriptor `fd` that this process was started with, if it is open.
///
/// To be called once a descriptor, by the init before it opens anything.
pub(crate) fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl(2) with F_GETFD takes numbers only.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the descriptor is open and was inherited, so nothing in this program owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends the signal with number `signal` to a process of this pid namespace.
pub(crate) fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes numbers only.
    check(unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) }.into()).map(drop)
}

/// Sends the signal with number `signal` to the process behind `pidfd`.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let (fd, no_info) = (pidfd.as_raw_fd(), ptr::null_mut::<libc::siginfo_t>());
    // SAFETY: pidfd_send_signal(2) accepts a null pointer in place of extra information.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_info, 0) }).map(drop)
}
