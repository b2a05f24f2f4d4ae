//! Another program in a running container: into its namespaces, and a child there that becomes the program.
//!
//! A process cannot move into another pid namespace, only its children are born in one (setns(2)). This process stays
//! as the child's parent: the kernel lets a container's process 1 end only when every process of its pid namespace has
//! been waited for (kernel/pid_namespace.c, zap_pid_ns_processes), which so depends on nobody outside.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

use rustix::{
    fs::{CWD, Mode, OFlags},
    process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, setsid, waitpid},
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};

use super::{
    Role,
    failure::{Failed, OrFail},
    own_stdio, program, terminal,
};
use crate::{channel, exec, plan::Plan};

/// Runs the plan's program in the container whose process 1 is behind the descriptor `joined`, and returns its status.
pub(super) fn run(plan: &Plan, control: BorrowedFd<'_>, joined: RawFd, roles: &[Role]) -> Result<i32, Failed> {
    if plan.die_with_parent {
        // The program is tied to this process as this one is to its parent.
        set_parent_process_death_signal(Some(Signal::KILL)).or_fail(|| "tie the program to its starter".into())?;
    }
    let container = exec::adopt(joined).ok_or_else(|| Failed::because("no container to join was given"))?;
    // All at once: what this process may do is checked while it still is who it was. The root and the working
    // directory become the container's with its mount namespace.
    move_into_thread_name_spaces(container.as_fd(), ThreadNameSpaceType::from_bits_retain(plan.join))
        .or_fail(|| "enter the container's namespaces (has it ended?)".into())?;
    drop(container);
    let Some(child) = exec::fork().or_fail(|| "fork in the container (has it ended?)".into())? else {
        return become_program(plan, control, roles);
    };
    // Pipes and the control socket are the program's: who reads them waits for their last holder.
    exec::close_from(0).or_fail(|| "close descriptors".into())?;
    follow(child)
}

/// In the child: what the container could see of this process is not dumpable and holds nothing of the host's.
fn become_program(plan: &Plan, control: BorrowedFd<'_>, roles: &[Role]) -> Result<i32, Failed> {
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).or_fail(|| "open this process".into())?;
    channel::send_program(control, own.as_fd()).or_fail(|| "report to the parent".into())?;
    drop(own);
    match &plan.terminal {
        Some(size) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::openat(CWD, c"/", flags, Mode::empty()).or_fail(|| "open the root".into())?;
            let master = terminal::open(root.as_fd(), size, &plan.process, false)?;
            channel::send_terminal(control, master.as_fd()).or_fail(|| "hand over the terminal".into())?;
        }
        // The keys for signals of whoever started this are not for the container's programs.
        None => drop(setsid().or_fail(|| "start a session".into())?),
    }
    if plan.own_stdio {
        own_stdio(plan)?;
    }
    program::run(plan, control, roles)
}

/// Waits for the program, and ends as it did.
fn follow(child: Pid) -> Result<i32, Failed> {
    loop {
        let ended = match waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.or_fail(|| "wait for the program".into())?,
        };
        let Some((_, status)) = ended else { continue };
        if let Some(code) = status.exit_status() {
            return Ok(code);
        }
        if let Some(signal) = status.terminating_signal() {
            // Leaves no core: this process is not dumpable.
            let _ = exec::kill(rustix::process::getpid(), signal);
            return Ok(128 + signal);
        }
    }
}
