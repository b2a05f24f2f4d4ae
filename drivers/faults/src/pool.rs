//! Trials side by side, each in a process of its own with a deadline: a trial may hang, panic or be killed.

use std::{
    collections::VecDeque,
    fs,
    io::{self, PipeReader, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use storage_sys::fork::{Child, fork};

use crate::{
    Error, Result, room,
    trial::{Outcome, Plan, Setting},
};

/// The longest that a trial may take; one that works takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

struct Running {
    /// Which of the plans it is.
    index: usize,
    room: PathBuf,
    child: Option<Child>,
    pipe: PipeReader,
    said: Vec<u8>,
    until: Instant,
}

/// Runs all plans, `jobs` at a time, each in a directory of its own below `room`; outcomes are in the order of plans.
pub fn run_all(setting: &Setting<'_>, plans: &[Plan<'_>], room: &Path, jobs: usize) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::default(); plans.len()];
    let mut waiting: VecDeque<usize> = (0..plans.len()).collect();
    let mut running: Vec<Running> = Vec::new();
    loop {
        while running.len() < jobs {
            let Some(index) = waiting.pop_front() else { break };
            running.push(start(setting, &plans[index], index, room)?);
        }
        if running.is_empty() {
            return Ok(outcomes);
        }
        wait(&running).map_err(Error::io("wait for", room))?;
        let mut still = Vec::new();
        for mut trial in running {
            if trial.has_ended() {
                let index = trial.index;
                outcomes[index] = trial.finish();
            } else {
                still.push(trial);
            }
        }
        running = still;
    }
}

fn start(setting: &Setting<'_>, plan: &Plan<'_>, index: usize, room: &Path) -> Result<Running> {
    let dir = room.join(format!("trial-{index}"));
    fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
    let (pipe, mut writer) = io::pipe().map_err(Error::io("make a pipe for", &dir))?;
    rustix::io::ioctl_fionbio(&pipe, true).map_err(Error::io("make a pipe for", &dir))?;
    let child = fork(|| {
        // A panic is told in the report.
        std::panic::set_hook(Box::new(|_| {}));
        let outcome = setting.run(plan, &dir);
        if outcome.problems.is_empty() {
            _ = fs::remove_dir_all(&dir);
        }
        serde_json::to_vec(&outcome).map_or(1, |json| i32::from(writer.write_all(&json).is_err()))
    })
    .map_err(Error::io("fork for", &dir))?;
    let until = Instant::now() + DEADLINE;
    Ok(Running { index, room: dir, child: Some(child), pipe, said: Vec::new(), until })
}

/// Until one of them says something or its time is over.
fn wait(running: &[Running]) -> io::Result<()> {
    let first = running.iter().map(|trial| trial.until).min().unwrap_or_else(Instant::now);
    let left = first.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    let mut pipes: Vec<_> = running.iter().map(|trial| PollFd::new(&trial.pipe, PollFlags::IN)).collect();
    match poll(&mut pipes, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Running {
    /// Takes what it has said; true when there will be no more, or no more time.
    fn has_ended(&mut self) -> bool {
        match self.pipe.read_to_end(&mut self.said) {
            Ok(_) => true,
            Err(_) => Instant::now() >= self.until,
        }
    }

    fn finish(mut self) -> Outcome {
        let late = Instant::now() >= self.until;
        let ended = self.child.take().map(|child| if late { child.kill() } else { child.wait() });
        let outcome = serde_json::from_slice(&self.said).unwrap_or_else(|_| {
            let why = match ended {
                _ if late => format!("it hung for {} s", DEADLINE.as_secs()),
                Some(Ok(exit)) => format!("the trial ended with {exit:?}"),
                Some(Err(error)) => format!("the trial ended: {error}"),
                None => "the trial ended".to_owned(),
            };
            Outcome { problems: vec![why], ..Outcome::default() }
        });
        room::sweep(&self.room);
        if let Err(error) = fs::remove_dir_all(&self.room)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.room.display(), %error, "a trial's directory stays");
        }
        outcome
    }
}
