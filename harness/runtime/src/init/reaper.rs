//! Process 1 for programs that do not expect to be it: passes signals on and reaps what is orphaned.

use std::{convert::Infallible, os::fd::BorrowedFd};

use rustix::process::{Pid, WaitOptions, set_child_subreaper, setpgid, wait};

use super::failure::{Failed, OrFail};
use crate::{channel, exec};

/// Runs `execute` in a child and returns the status of that program.
pub(super) fn run(
    control: BorrowedFd<'_>,
    execute: impl FnOnce() -> Result<Infallible, Failed>,
) -> Result<i32, Failed> {
    // Signals that come before the child is there stay pending for the loop.
    let blocked = exec::block_signals().or_fail(|| "block signals".into())?;
    let Some(child) = exec::fork().or_fail(|| "fork the program".into())? else {
        let failed = become_program(execute);
        let failure = failed.into_failure();
        // With the parent gone, nobody is left to tell.
        let _ = channel::send_failure(control, &failure);
        std::process::exit(i32::from(failure.status));
    };
    // Process 1 is given what is orphaned in any case.
    set_child_subreaper(Some(rustix::process::getpid())).or_fail(|| "take orphans in".into())?;
    // Only the child's end of the socket is left, so the parent sees the end when the child executes.
    exec::close_from(3).or_fail(|| "close descriptors".into())?;
    loop {
        match blocked.next().or_fail(|| "wait for signals".into())? {
            libc::SIGCHLD => {
                if let Some(status) = reap(child)? {
                    return Ok(status);
                }
            }
            signal => pass_on(child, signal),
        }
    }
}

/// Returns only why not.
fn become_program(execute: impl FnOnce() -> Result<Infallible, Failed>) -> Failed {
    // An own process group, in the foreground if there is a terminal, so that the keys for signals reach the program
    // and not the reaper as well, which would pass them on once more.
    let grouped = setpgid(None, None).or_fail(|| "make a process group".into());
    let own = rustix::process::getpid();
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        // Allowed from the background, as SIGTTOU is blocked here (tcsetpgrp(3)).
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), own);
    }
    let ready = grouped.and_then(|()| exec::reset_signals().or_fail(|| "reset signals".into()));
    match ready.and_then(|()| execute()) {
        Err(failed) => failed,
        Ok(never) => match never {},
    }
}

/// Reaps all that has ended; the program's status if it is among them.
fn reap(program: Pid) -> Result<Option<i32>, Failed> {
    let mut found = None;
    while let Some((pid, status)) = wait(WaitOptions::NOHANG).or_fail(|| "reap".into())? {
        if pid == program {
            let of_signal = status.terminating_signal().map(|signal| 128 + signal);
            found = status.exit_status().or(of_signal);
        }
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

fn pass_on(child: Pid, signal: i32) {
    // It may have ended meanwhile; its SIGCHLD comes next.
    let _ = exec::kill(child, signal);
}
