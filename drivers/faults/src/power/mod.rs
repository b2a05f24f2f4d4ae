//! The power goes: the operation is done on a disk that records all writes and flushes, and every disk that a power
//! loss may have left meanwhile is made from the record, mounted, and looked at.

mod log;
mod recorder;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use storage_sys::{
    fork::Exit,
    trace::{self, Action, Call, Ending},
};

use crate::{
    Error, Fault, Operation, Result, Row,
    disk::{Plugged, copy},
    look::Layers,
    operation::{Due, Start},
    pool::{Answer, Pool},
    report::Lost,
    trial::Setting,
    verify::{Known, verify},
};
use log::{Log, State};
use recorder::Recorder;

/// The longest that an operation and a look at all its states may take together; each state has a deadline of its own, and
/// there are thousands.
const DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// One state of the disk, and what was wrong with it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Found {
    what: String,
    problems: Vec<String>,
}

/// All states of one operation.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Recorded {
    states: Vec<(usize, Found)>,
    /// Why it could not be done.
    failure: Option<String>,
}

impl Answer for Found {
    fn failed(why: String) -> Self {
        Self { what: String::new(), problems: vec![why] }
    }

    fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Answer for Recorded {
    fn failed(why: String) -> Self {
        Self { states: Vec::new(), failure: Some(why) }
    }

    fn is_fine(&self) -> bool {
        self.failure.is_none()
    }
}

/// The files of one operation's disk.
struct Files<'a> {
    dir: &'a Path,
}

impl Files<'_> {
    fn template(&self) -> std::path::PathBuf {
        self.dir.join("template")
    }

    fn log(&self) -> std::path::PathBuf {
        self.dir.join("log")
    }

    fn device(&self) -> std::path::PathBuf {
        self.dir.join("device")
    }
}

/// Does one operation on a recorded disk and counts every state in `row`; `only` picks one state.
pub fn lose(
    setting: &Setting<'_>,
    (operation, fault): (&Operation, Fault),
    only: Option<usize>,
    pool: &Pool<'_>,
    row: &mut Row,
) -> Result<()> {
    let dir =
        tempfile::Builder::new().prefix("power-").tempdir_in(pool.room).map_err(Error::io("write in", pool.room))?;
    let files = Files { dir: dir.path() };
    let disk = setting.subject.disk();
    disk.make(&files.template())?;
    let image = dir.path().join("image");
    copy(&files.template(), &image)?;
    let recorder = Recorder::start(&image, &files.log(), &files.device())?;
    let alone = Pool { room: dir.path(), jobs: 1, deadline: DEADLINE };
    // Mounting and unmounting is mostly waiting.
    let jobs = if disk.can_be_copied { 4 * pool.jobs } else { 1 };
    let work = |_: &(), own: &Path| match record(setting, (operation, fault), &files, own) {
        Ok(recording) => examine(setting, operation, &files, &recording, only, &Pool { room: own, jobs, ..*pool }),
        Err(failure) => Recorded { states: Vec::new(), failure: Some(failure) },
    };
    let recorded = alone.run(&[()], work)?.remove(0);
    drop(recorder);
    if let Some(failure) = recorded.failure {
        row.lost.push(Lost { step: 0, call: "the power was on".to_owned(), problems: vec![failure] });
    }
    for (step, found) in recorded.states {
        row.tried += 1;
        if found.problems.is_empty() {
            row.survived += 1;
        } else {
            row.lost.push(Lost { step, call: found.what, problems: found.problems });
        }
    }
    Ok(())
}

/// What is known of an operation that was done on a recorded disk.
struct Recording {
    before: Layers,
    log: Log,
    /// How long the log was at the operation's beginning and end.
    span: (u64, u64),
    /// How long it was at every state-changing call.
    calls: Vec<(u64, String)>,
}

/// Does the operation on the recorded disk, and takes the disk out.
fn record(
    setting: &Setting<'_>,
    (operation, fault): (&Operation, Fault),
    files: &Files<'_>,
    own: &Path,
) -> Result<Recording, String> {
    let said = |error: Error| error.to_string();
    let at = own.join("disk");
    let plugged = Plugged::plug(&setting.subject.disk(), &files.device(), &at).map_err(said)?;
    let root = at.join("root");
    fs::create_dir(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
    let before = setting.prepare(operation, &root)?;
    let other = at.join("other");
    let commit = || match fault {
        Fault::PowerCommit => fs::File::create(&other).and_then(|mut file| file.write_all(b"x").and(file.sync_all())),
        _ => Ok(()),
    };
    let traced = act(setting, operation, &root, &files.log(), &commit);
    let (span, calls) = traced.map_err(|error| format!("the operation could not be traced: {error}"))?;
    crate::room::sweep(&root);
    plugged.unplug().map_err(said)?;
    let log = Log::read(&files.log()).map_err(|error| format!("the record cannot be read: {error}"))?;
    Ok(Recording { before, log, span, calls })
}

type Span = (u64, u64);

/// The operation in a traced process, which is stopped at each call for as long as it takes to read the log's length.
///
/// `commit` is done before every call.
fn act(
    setting: &Setting<'_>,
    operation: &Operation,
    root: &Path,
    log: &Path,
    commit: &dyn Fn() -> io::Result<()>,
) -> io::Result<(Span, Vec<(u64, String)>)> {
    let length = || fs::metadata(log).map_or(0, |metadata| metadata.len());
    let work = || -> storage_driver::Result<()> {
        let opened = if operation.start == Start::Open { Some(setting.subject.open(root)?) } else { None };
        trace::begin();
        let driver = opened.map_or_else(|| setting.subject.open(root), Ok)?;
        (operation.act)(&*driver, setting.oracle)?;
        // A last call for the tracer: the operation has returned.
        trace::begin();
        _ = rustix::fs::unlink(root.join("no such file"));
        trace::end();
        driver.shutdown()
    };
    let (mut from, mut to) = (None, None);
    let mut calls = Vec::new();
    let mut failed = None;
    let mut decide = |call: &Call| {
        let now = length();
        if call.section() == 1 {
            from.get_or_insert(now);
            if let Err(error) = commit() {
                failed.get_or_insert(error);
            }
            calls.push((now, call.describe().replace(&format!("{}/", root.display()), "")));
        } else {
            to = Some(now);
        }
        Action::Proceed
    };
    let ending = trace::trace(|| i32::from(work().is_err()), &mut decide)?;
    if let Some(error) = failed {
        return Err(error);
    }
    match ending {
        Ending::Exited(Exit::Status(0)) => {
            let to = to.unwrap_or_else(length);
            Ok(((from.unwrap_or(to), to), calls))
        }
        ending => Err(io::Error::other(format!("it ended with {ending:?}"))),
    }
}

fn examine(
    setting: &Setting<'_>,
    operation: &Operation,
    files: &Files<'_>,
    recording: &Recording,
    only: Option<usize>,
    pool: &Pool<'_>,
) -> Recorded {
    let (from, to) = recording.span;
    let states: Vec<_> =
        (1..).zip(recording.log.states(from, to)).filter(|(step, _)| only.is_none_or(|only| only == *step)).collect();
    let known = Known { operation, oracle: setting.oracle, before: &recording.before, may_lose: false };
    let found = pool.run(&states, |(_, state), dir| look_at(setting, files, recording, &known, state, dir));
    match found {
        Ok(found) => Recorded { states: states.iter().map(|(step, _)| *step).zip(found).collect(), failure: None },
        Err(error) => Recorded { states: Vec::new(), failure: Some(error.to_string()) },
    }
}

/// Makes the disk as it was left, mounts it, and looks at what the driver makes of it.
fn look_at(
    setting: &Setting<'_>,
    files: &Files<'_>,
    recording: &Recording,
    known: &Known<'_>,
    state: &State,
    dir: &Path,
) -> Found {
    let log = &recording.log;
    let at = log.length_at(state);
    let call = recording.calls.iter().rev().find(|(length, _)| *length < at.max(1)).map(|(_, call)| call.as_str());
    let when = match (state.after, call) {
        (true, _) => "after it had returned".to_owned(),
        (false, Some(call)) => format!("in {call}"),
        (false, None) => "at its beginning".to_owned(),
    };
    let what = format!("{when}: {}", log.describe(state));
    let due = if state.after { Due::DoneUnpowered } else { Due::Unpowered };
    let problems = match plug(setting, files, log, state, dir) {
        Err(error) => vec![format!("the disk cannot be used: {error}")],
        Ok((plugged, root)) => {
            let problems = verify(setting.subject, &root, known, due, &setting.baseline.of_any_size());
            drop(plugged);
            problems
        }
    };
    Found { what, problems }
}

fn plug(
    setting: &Setting<'_>,
    files: &Files<'_>,
    log: &Log,
    state: &State,
    dir: &Path,
) -> Result<(Plugged, std::path::PathBuf)> {
    let (image, at) = (dir.join("image"), dir.join("disk"));
    copy(&files.template(), &image)?;
    let file = fs::OpenOptions::new().write(true).open(&image).map_err(Error::io("open", &image))?;
    log.replay(state, &file).map_err(Error::io("write", &image))?;
    let plugged = Plugged::plug(&setting.subject.disk(), &image, &at)?;
    let root = at.join("root");
    // The directory itself may not have been on the disk yet.
    match fs::create_dir(&root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create", &root)(error)),
        _ => Ok((plugged, root)),
    }
}
