//! A disk that is really full: small, filled to different levels, with the kernel's own answers.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
};

use crate::{
    Error, Operation, Result, Row,
    disk::{Plugged, copy},
    operation::{Due, Start},
    pool::Pool,
    report::Lost,
    trial::{Attempt, Outcome, Setting},
    verify::{Known, verify},
};

/// How much is left free, in bytes, level by level.
const FREE: [u64; 11] =
    [0, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 192 << 10, 256 << 10, 1 << 20];

/// Does one operation on a disk of every level and counts them in `row`; `only` picks one level.
pub fn fill(
    setting: &Setting<'_>,
    operation: &Operation,
    only: Option<usize>,
    pool: &Pool<'_>,
    row: &mut Row,
) -> Result<()> {
    let template = tempfile::Builder::new().prefix("full-").tempdir_in(pool.room);
    let template = template.map_err(Error::io("write in", pool.room))?;
    let disk = setting.subject.disk();
    let image = template.path().join("template");
    disk.make(&image)?;
    let jobs = if disk.can_be_copied() { pool.jobs } else { 1 };
    let levels: Vec<_> = (1..).zip(FREE).filter(|(step, _)| only.is_none_or(|only| only == *step)).collect();
    let answers = Pool { jobs, ..*pool }.run(&levels, |(_, free), dir| {
        let problems = attempt(setting, operation, &image, *free, dir).unwrap_or_else(|problem| vec![problem]);
        Outcome { problems, ..Outcome::default() }
    })?;
    for ((step, free), outcome) in levels.into_iter().zip(answers) {
        row.tried += 1;
        if outcome.problems.is_empty() {
            row.survived += 1;
        } else {
            let call = format!("with {} KiB free", free >> 10);
            row.lost.push(Lost { step, call, problems: outcome.problems });
        }
    }
    Ok(())
}

fn attempt(
    setting: &Setting<'_>,
    operation: &Operation,
    template: &Path,
    free: u64,
    dir: &Path,
) -> Result<Vec<String>, String> {
    let said = |error: Error| error.to_string();
    let (image, at) = (dir.join("image"), dir.join("disk"));
    copy(template, &image).map_err(said)?;
    let plugged = Plugged::plug(&setting.subject.disk(), &image, &at).map_err(said)?;
    let root = at.join("root");
    fs::create_dir(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
    let before = setting.prepare(operation, &root)?;
    let known = Known { operation, oracle: setting.oracle, before: &before };
    let mut attempt = Attempt::new(setting, operation, &root);
    if operation.start == Start::Open {
        attempt.open();
    }
    let filler = at.join("filler");
    fill_up(&filler, free).map_err(|error| format!("the disk cannot be filled: {error}"))?;
    let failed = attempt.make();
    fs::remove_file(&filler).map_err(|error| format!("the disk cannot be emptied: {error}"))?;
    if let Some((error, no_space)) = &failed {
        if !no_space {
            attempt.problems.push(format!("the error does not say that there is no space: {error}"));
        }
        attempt.look(&known);
        attempt.make_again();
    }
    attempt.close();
    let mut problems = attempt.problems;
    problems.extend(verify(setting.subject, &root, &known, Due::Done, &setting.baseline.of_any_size()));
    drop(plugged);
    Ok(problems)
}

/// Fills the disk and gives `free` bytes back.
fn fill_up(path: &Path, free: u64) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    let block = vec![0xff; 64 << 10];
    let mut written = 0;
    let mut size = block.len();
    while size >= 512 {
        match file.write(&block[..size]) {
            Ok(count) => written += count as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => return Err(error),
        }
    }
    // What is only promised is not yet taken.
    file.sync_all()?;
    file.set_len(written.saturating_sub(free))?;
    file.sync_all()
}
