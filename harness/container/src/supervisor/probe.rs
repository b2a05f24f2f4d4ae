//! Probing a container's health while it runs.

use std::{
    os::fd::AsFd,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use harness_image::HealthCheck;
use harness_runtime::{Container, Exec, Process, Stdio};
use nix::sys::signal::SIGKILL;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::shared::{Shared, now};
use crate::health::{OUTPUT, Plan, Probe};

/// Begins to probe, if there is something to probe with; the thread ends with the container.
pub(super) fn start(
    shared: &Arc<Shared>,
    container: &Arc<Container>,
    check: Option<&HealthCheck>,
) -> Option<JoinHandle<()>> {
    let plan = Plan::of(check?)?;
    let (shared, container) = (shared.clone(), container.clone());
    Some(thread::spawn(move || {
        while shared.is_running_after(&container, &plan) {
            let probe = probe(&container, &plan);
            if let Err(error) = shared.probed(&container, &plan, probe) {
                tracing::warn!(%error, "a probe's answer is not in the container's state");
            }
        }
    }))
}

fn probe(container: &Container, plan: &Plan) -> Probe {
    let start = now();
    let exec = Exec { stdio: Stdio::Output, ..Exec::new(plan.words.iter().cloned()) };
    let (status, output) = match container.exec(exec) {
        Ok(process) => watch(process, plan.timeout),
        Err(error) => (-1, error.to_string()),
    };
    Probe { start, end: now(), status, output }
}

/// Waits for a probe's end, and makes it after its time.
fn watch(mut process: Process, timeout: Duration) -> (i32, String) {
    let Ok(pidfd) = process.as_fd().try_clone_to_owned() else { return (-1, "no descriptor is left".to_owned()) };
    let signaller = process.signaller();
    let reading = thread::spawn(move || process.output(OUTPUT));
    let limit = Timespec::try_from(timeout).ok();
    let ended = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.as_ref()));
    let timed_out = ended == Ok(0);
    if timed_out {
        let _ = signaller.signal(SIGKILL as i32);
    }
    match reading.join() {
        Ok(_) if timed_out => (-1, format!("Health check exceeded timeout ({timeout:?})")),
        Ok(Ok(output)) => {
            let text = [output.stdout, output.stderr].concat();
            (output.exit.status(), String::from_utf8_lossy(&text[..text.len().min(OUTPUT)]).into_owned())
        }
        Ok(Err(error)) => (-1, error.to_string()),
        Err(_) => (-1, "the probe could not be watched".to_owned()),
    }
}
