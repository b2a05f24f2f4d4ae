//! The container's first process: this program, executed again in new namespaces.
//!
//! It has one thread and an empty environment, acts on a [`Plan`] and ends by executing the container's program. It is
//! what a container's start costs, so it stays away from everything that is large: no formatting but for errors, no
//! general deserialiser, no logging.

mod attach;
mod beneath;
mod copy_up;
mod dev;
mod failure;
mod files;
mod identity;
mod join;
mod program;
mod reaper;
mod root;
mod terminal;

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use self::failure::{Failed, OrFail};
use crate::{
    channel::{self, CONTROL_FD},
    exec,
    plan::Plan,
};

/// A program that this program itself is for processes in containers, so that no image has to have it.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// By which [`Exec`](crate::Exec) names it.
    pub name: &'static str,
    /// What it does with its arguments, of which the first is its name; gives the exit status.
    pub run: fn(&[CString]) -> i32,
}

/// Becomes a container's init and never returns, if that is what this process was started as; else does nothing.
///
/// It has to be the first statement of the `main` of every program that starts containers.
pub fn init_if_asked() {
    init_or_role_if_asked(&[]);
}

/// As [`init_if_asked`], for a program that has roles of its own for [`Exec::role`](crate::Exec::role).
pub fn init_or_role_if_asked(roles: &[Role]) {
    let asked = std::env::args_os().next().is_some_and(|name| name.as_encoded_bytes() == exec::INIT_MARKER.to_bytes());
    if !asked {
        return;
    }
    let Some(control) = control_socket() else {
        // A person has typed our marker: there is nobody to report to.
        std::process::exit(125);
    };
    let status = match run(control.as_fd(), roles) {
        Ok(status) => status,
        Err(failed) => {
            let failure = failed.into_failure();
            // With the parent gone, nobody is left to tell.
            let _ = channel::send_failure(control.as_fd(), &failure);
            i32::from(failure.status)
        }
    };
    std::process::exit(status);
}

/// The socket to the parent, if there is one at its place.
fn control_socket() -> Option<OwnedFd> {
    let socket = exec::adopt(CONTROL_FD)?;
    rustix::net::sockopt::socket_type(&socket).ok()?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(socket)
}

/// Returns only with an exit status: of a role, or of the child that is the program.
fn run(control: BorrowedFd<'_>, roles: &[Role]) -> Result<i32, Failed> {
    // The container's program must not be able to look into this process, which has descriptors of the host.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .or_fail(|| "hide the init process".into())?;
    let plan = channel::receive_plan(control).or_fail(|| "receive the plan".into())?;
    let groups = i32::try_from(plan.cgroups).unwrap_or(0);
    let joined = i32::from(plan.join != 0);
    let entered = i32::try_from(plan.entered).unwrap_or(0);
    let given = i32::try_from(plan.given).unwrap_or(0);
    let first_given = CONTROL_FD + 1 + groups + entered + joined;
    exec::close_from(first_given + given).or_fail(|| "close inherited descriptors".into())?;
    join_cgroups(groups)?;
    enter_namespaces(CONTROL_FD + 1 + groups, entered)?;
    if plan.new_cgroup_namespace {
        exec::unshare_cgroup_namespace().or_fail(|| "make a cgroup namespace".into())?;
    }
    exec::reset_signals().or_fail(|| "reset signals".into())?;
    rustix::process::umask(rustix::fs::Mode::empty());
    if let Some(adjustment) = plan.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", adjustment.to_string()).or_fail(|| "set oom_score_adj".into())?;
    }
    if let Some(priority) = plan.io_priority {
        exec::set_io_priority(priority).or_fail(|| "set the priority of I/O".into())?;
    }
    if let Some(personality) = plan.personality {
        exec::set_personality(personality).or_fail(|| "set the personality".into())?;
    }
    if plan.join != 0 {
        return join::run(&plan, control, CONTROL_FD + 1 + groups + entered, roles);
    }
    set_names(&plan)?;
    if plan.loopback {
        exec::bring_up_loopback().or_fail(|| "bring the loopback interface up".into())?;
    }
    let mounts = (first_given..first_given + given).filter_map(exec::adopt).collect();
    let master = root::enter(&plan, control, mounts)?;
    if let Some(master) = master {
        channel::send_terminal(control, master.as_fd()).or_fail(|| "hand over the terminal".into())?;
    }
    if plan.own_stdio {
        own_stdio(&plan)?;
    }
    program::run(&plan, control, roles)
}

fn join_cgroups(count: i32) -> Result<(), Failed> {
    for fd in CONTROL_FD + 1..=CONTROL_FD + count {
        let tasks = exec::adopt(fd).ok_or(io::ErrorKind::InvalidInput).or_fail(|| "join a cgroup".into())?;
        // "0" is the writing thread itself: since it cannot change under the kernel's hands, the migration takes no
        // global lock, whose acquisition waits for an RCU grace period (kernel/cgroup/cgroup.c, cgroup_procs_write_start).
        rustix::io::write(&tasks, b"0").or_fail(|| "join a cgroup".into())?;
    }
    Ok(())
}

fn enter_namespaces(first: i32, count: i32) -> Result<(), Failed> {
    for fd in first..first + count {
        let what = || "join a namespace of linux.namespaces".to_owned();
        let namespace = exec::adopt(fd).ok_or(io::ErrorKind::InvalidInput).or_fail(what)?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), None).or_fail(what)?;
    }
    Ok(())
}

fn set_names(plan: &Plan) -> Result<(), Failed> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes()).or_fail(|| format!("set the host name {name:?}"))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes()).or_fail(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}

/// Gives pipes to the container's user, who else could not open `/dev/stdout` anew. Anything else, the host's `/dev/null`
/// above all, is not this container's to give away.
fn own_stdio(plan: &Plan) -> Result<(), Failed> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(plan.process.uid), rustix::fs::Gid::from_raw(plan.process.gid));
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = rustix::fs::fstat(stream).or_fail(|| "look at the standard streams".into())?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_fifo() {
            continue;
        }
        match rustix::fs::fchown(stream, Some(uid), Some(gid)) {
            // An id that this user namespace does not have: becoming it fails next, and says so.
            Err(rustix::io::Errno::INVAL) => {}
            other => other.or_fail(|| "give the pipes to the container's user".into())?,
        }
    }
    Ok(())
}
