//! Work side by side, each piece in a process of its own with a deadline: a trial may hang, panic or be killed.

use std::{
    collections::VecDeque,
    fs,
    io::{self, PipeReader, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Serialize, de::DeserializeOwned};
use storage_sys::fork::{Child, fork};
use tracing::subscriber::NoSubscriber;

use crate::{Error, Result, room};

/// What a piece of work answers, from its process to this one.
pub trait Answer: Serialize + DeserializeOwned {
    /// The answer of a piece that could not give one.
    fn failed(why: String) -> Self;

    /// Whether there is nothing to be looked into, so that its directory may go at once.
    fn is_fine(&self) -> bool;
}

/// How work is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Below which the pieces' own directories are made.
    pub room: &'a Path,
    /// How many pieces run side by side.
    pub jobs: usize,
    /// The longest that one piece may take.
    pub deadline: Duration,
}

struct Running {
    index: usize,
    room: PathBuf,
    child: Child,
    pipe: PipeReader,
    said: Vec<u8>,
    until: Instant,
}

impl Pool<'_> {
    /// Does `work` on every item, in a directory of its own; answers are in the order of the items.
    pub fn run<I, A: Answer>(&self, items: &[I], work: impl Fn(&I, &Path) -> A) -> Result<Vec<A>> {
        let mut answers: Vec<Option<A>> = items.iter().map(|_| None).collect();
        let mut waiting: VecDeque<usize> = (0..items.len()).collect();
        let mut running: Vec<Running> = Vec::new();
        loop {
            while running.len() < self.jobs {
                let Some(index) = waiting.pop_front() else { break };
                running.push(self.start(index, |dir| work(&items[index], dir))?);
            }
            if running.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            wait(&running).map_err(Error::io("wait for", self.room))?;
            let (ended, still): (Vec<_>, Vec<_>) =
                running.into_iter().map(|mut piece| (piece.has_ended(), piece)).partition(|(ended, _)| *ended);
            running = still.into_iter().map(|(_, piece)| piece).collect();
            for (_, piece) in ended {
                let index = piece.index;
                answers[index] = Some(piece.finish(self.deadline));
            }
        }
    }

    fn start<A: Answer>(&self, index: usize, work: impl Fn(&Path) -> A) -> Result<Running> {
        let dir = self.room.join(format!("trial-{index}"));
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        let (pipe, mut writer) = io::pipe().map_err(Error::io("make a pipe for", &dir))?;
        rustix::io::ioctl_fionbio(&pipe, true).map_err(Error::io("make a pipe for", &dir))?;
        let child = fork(|| {
            // A panic is told in the report.
            std::panic::set_hook(Box::new(|_| {}));
            // So is what a driver logs; and a line that finds standard error full would be the trial's, not the driver's.
            let answer = tracing::subscriber::with_default(NoSubscriber::default(), || work(&dir));
            if answer.is_fine() {
                _ = fs::remove_dir_all(&dir);
            }
            serde_json::to_vec(&answer).map_or(1, |json| i32::from(writer.write_all(&json).is_err()))
        })
        .map_err(Error::io("fork for", &dir))?;
        Ok(Running { index, room: dir, child, pipe, said: Vec::new(), until: Instant::now() + self.deadline })
    }
}

/// Until one of them says something or its time is over.
fn wait(running: &[Running]) -> io::Result<()> {
    let first = running.iter().map(|piece| piece.until).min().unwrap_or_else(Instant::now);
    let left = first.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    let mut pipes: Vec<_> = running.iter().map(|piece| PollFd::new(&piece.pipe, PollFlags::IN)).collect();
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

    fn finish<A: Answer>(self, deadline: Duration) -> A {
        let late = Instant::now() >= self.until;
        let ended = if late { self.child.kill() } else { self.child.wait() };
        let answer = serde_json::from_slice(&self.said).unwrap_or_else(|_| {
            A::failed(match ended {
                _ if late => format!("it hung for {} s", deadline.as_secs()),
                Ok(exit) => format!("the trial ended with {exit:?}"),
                Err(error) => format!("the trial cannot be waited for: {error}"),
            })
        });
        room::sweep(&self.room);
        if let Err(error) = fs::remove_dir_all(&self.room)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.room.display(), %error, "a trial's directory stays");
        }
        answer
    }
}
