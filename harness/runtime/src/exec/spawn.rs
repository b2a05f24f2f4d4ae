use std::{
    ffi::{CStr, c_char, c_int, c_void},
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::{
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::users::{self, Gate, Maps};

/// The zeroth argument under which the init process is started, by which it knows itself.
pub(crate) const INIT_MARKER: &CStr = c"__init";

/// The flag of clone3(2) for the directory of a cgroup (linux/sched.h); the constant in `libc` overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child executes: a file by descriptor, see execveat(2).
#[derive(Debug)]
pub(crate) struct Program(pub(crate) OwnedFd);

/// A created process.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Its id in the caller's pid namespace.
    pub(crate) pid: Pid,
    /// A descriptor of it, so that signals and waits never hit another process that got the same id.
    pub(crate) pidfd: OwnedFd,
}

/// What a process is created in.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    /// New ones, a set of `CLONE_NEW*`.
    pub(crate) namespaces: c_int,
    /// A pid namespace that is there already.
    pub(crate) pid: Option<BorrowedFd<'a>>,
    /// A directory of a cgroup2 tree.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The ids of its new user namespace.
    pub(crate) maps: Option<&'a Maps>,
}

/// What the child needs; it lives on the parent's stack, which stays put while the parent is suspended.
struct ChildArgs<'a> {
    program: RawFd,
    /// Descriptors of the parent in the order in which the child shall have them, from 0 on.
    descriptors: &'a [RawFd],
    /// Where it waits until its user namespace has ids.
    gate: Option<[RawFd; 2]>,
    /// errno of what failed in the child, 0 for nothing. Seen by the parent only where memory is shared.
    failed: c_int,
}

/// The child's stack for the few calls before execve(2) replaces it.
#[repr(C, align(16))]
struct Stack([MaybeUninit<u8>; 32 * 1024]);

/// Creates a process that executes `program` as [`INIT_MARKER`] with no environment and `descriptors` as its descriptors
/// 0, 1, 2...
///
/// The child shares the parent's memory until it executes, and the calling thread is suspended meanwhile, as
/// posix_spawn(3) does: nothing is copied, however large the parent is. Only where the kernel has to place the child in
/// a cgroup, which plain clone(2) cannot ask for, or where it has to wait until the ids of its user namespace are mapped, as
/// `maps` says, is the memory copied on write as in fork(2).
///
/// Signals are blocked in the child; the init unblocks them.
pub(crate) fn spawn(
    program: &Program,
    descriptors: &[BorrowedFd<'_>],
    surroundings: &Surroundings<'_>,
) -> io::Result<Spawned> {
    let &Surroundings { namespaces, pid, cgroup, maps } = surroundings;
    // Descriptors are moved out of the way first, so that no dup2(2) of the child overwrites one that is still needed.
    let above = c_int::try_from(descriptors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let moved =
        descriptors.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, above)).collect::<Result<Vec<OwnedFd>, _>>()?;
    let moved_program = rustix::io::fcntl_dupfd_cloexec(&program.0, above)?;
    let raw: Vec<RawFd> = moved.iter().map(AsRawFd::as_raw_fd).collect();
    let gate = maps.map(|_| Gate::new(above)).transpose()?;
    let ends = gate.as_ref().map(Gate::ends);
    let mut args = ChildArgs { program: moved_program.as_raw_fd(), descriptors: &raw, gate: ends, failed: 0 };
    let blocked = SignalsBlocked::new()?;
    let mut cloned = || match (cgroup, &gate) {
        (None, None) => clone_sharing_memory(&mut args, namespaces),
        _ => clone_copying(namespaces, cgroup, child, ptr::from_mut(&mut args).cast()),
    };
    let spawned = match pid {
        None => cloned(),
        Some(pid) => born_in(pid, cloned),
    };
    drop(blocked);
    let mut spawned = spawned?;
    if let (Some(gate), Some(maps)) = (gate, maps) {
        spawned = gate.open(spawned, maps)?;
    }
    if args.failed != 0 {
        // It has exited already; leave no zombie.
        let _ = rustix::process::waitpid(Some(spawned.pid), rustix::process::WaitOptions::empty());
        return Err(io::Error::from_raw_os_error(args.failed));
    }
    Ok(spawned)
}

/// Has `cloned` create a process of the pid namespace `pid`. It is this thread's children that are born there, so this goes
/// back afterwards; setns(2) allows both ways, as a namespace of a container is below this process's own.
fn born_in(pid: BorrowedFd<'_>, cloned: impl FnOnce() -> io::Result<Spawned>) -> io::Result<Spawned> {
    let enter = |namespace| move_into_link_name_space(namespace, Some(LinkNameSpaceType::ProcessID));
    let own = std::fs::File::open("/proc/self/ns/pid")?;
    enter(pid)?;
    let spawned = cloned();
    if let Err(error) = enter(own.as_fd()) {
        if let Ok(spawned) = spawned {
            let _ = rustix::process::pidfd_send_signal(&spawned.pidfd, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(spawned.pid), rustix::process::WaitOptions::empty());
        }
        return Err(error.into());
    }
    spawned
}

fn clone_sharing_memory(args: &mut ChildArgs<'_>, namespaces: c_int) -> io::Result<Spawned> {
    let mut stack = Stack([MaybeUninit::uninit(); 32 * 1024]);
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespaces;
    // Stacks grow downwards on both architectures that we support.
    let top = stack.0.as_mut_ptr_range().end;
    let arg = ptr::from_mut(args);
    // SAFETY: clone(2) runs `child` on `stack`, which is 16-aligned and large enough for its calls; CLONE_VFORK suspends
    // this thread until the child has executed or exited, so `stack`, `args` and `pidfd` outlive its use of them, and
    // nothing else touches them meanwhile. `child` keeps to async-signal-safe calls and never returns, all signals are
    // blocked, and without CLONE_SETTLS glibc's thread pointer stays that of the suspended thread.
    let pid = unsafe { libc::clone(child, top.cast::<c_void>(), flags, arg.cast::<c_void>(), &raw mut pidfd) };
    spawned(pid.into(), pidfd)
}

/// Runs `child` with `args` in a process of its own, as after fork(2).
pub(super) fn clone_copying(
    namespaces: c_int,
    cgroup: Option<BorrowedFd<'_>>,
    child: extern "C" fn(*mut c_void) -> c_int,
    args: *mut c_void,
) -> io::Result<Spawned> {
    let mut pidfd: c_int = -1;
    let into_cgroup = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    // struct clone_args, version 2 (88 bytes), see clone(2).
    let request: [u64; 11] = [
        (libc::CLONE_PIDFD | namespaces) as u64 | into_cgroup,
        ptr::from_mut(&mut pidfd) as u64,
        0,
        0,
        libc::SIGCHLD as u64,
        0,
        0,
        0,
        0,
        0,
        cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
    ];
    let address = request.as_ptr();
    // SAFETY: without CLONE_VM and with no stack given this behaves as fork(2): the child goes on here on its own copy of
    // the stack. The other threads do not exist in it, therefore it does nothing but async-signal-safe calls in `child`
    // (both functions that are given here), which never returns. `request` has the size that is passed and its one pointer is valid.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, address, size_of_val(&request)) };
    if pid == 0 {
        child(args);
    }
    spawned(pid, pidfd)
}

fn spawned(pid: i64, pidfd: c_int) -> io::Result<Spawned> {
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let raw = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?;
    let pid = Pid::from_raw(raw).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: CLONE_PIDFD stored a new descriptor that nobody else owns, as the call has succeeded.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Spawned { pid, pidfd })
}

/// Runs in the child: async-signal-safe calls only, no allocation, no panics, no return.
extern "C" fn child(args: *mut c_void) -> c_int {
    // SAFETY: `args` is the pointer given to clone, to a `ChildArgs` that is alive and not used by the suspended parent.
    let args = unsafe { &mut *args.cast::<ChildArgs<'_>>() };
    let mut target: c_int = 0;
    for &source in args.descriptors {
        // SAFETY: dup2(2) has no memory effects; a stale descriptor number only gives EBADF.
        if unsafe { libc::dup2(source, target) } < 0 {
            fail(args);
        }
        target = target.wrapping_add(1);
    }
    if let Some(gate) = args.gate
        && !(users::wait_at(gate) && users::become_root())
    {
        fail(args);
    }
    let argv: [*const c_char; 2] = [INIT_MARKER.as_ptr(), ptr::null()];
    let envp: [*const c_char; 1] = [ptr::null()];
    let (argv, envp, empty) = (argv.as_ptr(), envp.as_ptr(), c"".as_ptr());
    // SAFETY: all strings are NUL-terminated and both arrays end with a null pointer; see execveat(2).
    unsafe { libc::syscall(libc::SYS_execveat, args.program, empty, argv, envp, libc::AT_EMPTY_PATH) };
    fail(args)
}

fn fail(args: &mut ChildArgs<'_>) -> ! {
    // SAFETY: errno's location is always valid; the parent, whose location it is, is suspended.
    args.failed = unsafe { *libc::__errno_location() };
    // SAFETY: _exit(2) ends the child without running handlers of the parent, whose memory this may be.
    unsafe { libc::_exit(127) }
}

/// All signals blocked in this thread until dropped.
pub(super) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(super) fn new() -> io::Result<Self> {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset(3) initialises the set it is given and cannot fail on a valid pointer.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        let mut old = MaybeUninit::uninit();
        // SAFETY: the first set was initialised above; the second is for the call to fill.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: the call has succeeded, so it filled `old`.
        Ok(Self(unsafe { old.assume_init() }))
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: restores a mask that the kernel gave us; a null pointer for the old one is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Refuses a file that has taken the running program's name since.
fn same_file(copy: &impl AsFd) -> io::Result<()> {
    let (own, named) = (rustix::fs::stat(c"/proc/self/exe")?, rustix::fs::fstat(copy)?);
    if (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino) {
        return Ok(());
    }
    Err(io::Error::other("this program's file was replaced while it runs"))
}

/// Opens this program's own file, in a way that does not let a container write to it.
///
/// In the container the init's `/proc/self/exe` leads to the descriptor's mount. As that is a private read-only copy, a
/// hostile image that has itself executed through that link still cannot open the host's program for writing.
pub(crate) fn open_own_program() -> io::Result<Program> {
    use rustix::mount::{OpenTreeFlags, open_tree};
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let copy = match open_tree(rustix::fs::CWD, c"/proc/self/exe", flags) {
        // A program that entered a mount namespace after it was started has its file on a mount of the old one, of
        // which no copy can be made here (open_tree(2), EINVAL); by name the same file is found on the new one.
        Err(rustix::io::Errno::INVAL) => {
            let copy = open_tree(rustix::fs::CWD, std::env::current_exe()?, flags)?;
            same_file(&copy)?;
            copy
        }
        answer => answer?,
    };
    super::calls::mount_set_attributes(copy.as_fd(), false, libc::MOUNT_ATTR_RDONLY, 0, 0)?;
    Ok(Program(copy))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::fd::AsFd};

    use rustix::{
        mount::{MountFlags, UnmountFlags, mount, unmount},
        process::{WaitOptions, waitpid},
    };

    use super::*;

    fn null() -> OwnedFd {
        fs::File::options().read(true).write(true).open("/dev/null").unwrap().into()
    }

    /// Machines of version 1 have no controllers there, but the tree of version 2 can always be mounted.
    #[test]
    fn privileged_children_are_born_in_their_cgroup() {
        let tree = tempfile::tempdir().unwrap();
        mount("cgroup2", tree.path(), "cgroup2", MountFlags::empty(), None).unwrap();
        let group = tree.path().join(format!("harness-test-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        let directory = fs::File::open(&group).unwrap();
        let program = Program(fs::File::open("/bin/cat").unwrap().into());
        let (input, keyboard) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = null();
        let born = Surroundings { cgroup: Some(directory.as_fd()), ..Surroundings::default() };
        let child = spawn(&program, &[input.as_fd(), null.as_fd(), null.as_fd()], &born).unwrap();
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        fs::File::from(keyboard).write_all(b"and the end").unwrap();
        let (_, status) = waitpid(Some(child.pid), WaitOptions::empty()).unwrap().unwrap();
        drop(directory);
        crate::cgroup::remove_directory(&group).unwrap();
        // Another test's child may have a file of it open until it executes its program.
        unmount(tree.path(), UnmountFlags::DETACH).unwrap();
        assert_eq!(members.trim(), child.pid.as_raw_nonzero().get().to_string());
        assert_eq!(status.exit_status(), Some(0));
    }

    #[test]
    fn what_fails_in_the_child_is_known_to_the_parent() {
        let program = Program(fs::File::open("/etc/passwd").unwrap().into());
        let error = spawn(&program, &[null().as_fd()], &Surroundings::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn descriptors_can_change_places() {
        let program = Program(fs::File::open("/bin/cat").unwrap().into());
        let (input, keyboard) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (screen, output) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let child =
            spawn(&program, &[input.as_fd(), output.as_fd(), output.as_fd()], &Surroundings::default()).unwrap();
        drop((input, output));
        fs::File::from(keyboard).write_all(b"through").unwrap();
        assert_eq!(io::read_to_string(fs::File::from(screen)).unwrap(), "through");
        waitpid(Some(child.pid), WaitOptions::empty()).unwrap();
    }
}
