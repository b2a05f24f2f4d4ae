//! Children that do not outlive their parent.
#![allow(unsafe_code)]

use std::{os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, set_parent_process_death_signal};

/// The child is killed when the thread that starts it ends, however that happens (prctl(2), `PR_SET_PDEATHSIG`).
pub fn dies_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure makes one system call and touches neither memory nor locks of the parent.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Stdio};

    use super::*;

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("sleep");
            dies_with_parent(command.arg("60").stdin(Stdio::null())).spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
