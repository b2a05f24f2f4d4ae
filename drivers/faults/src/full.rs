//! A disk that is really full: small, filled to different levels, with the kernel's own answers.

mod filler;

use std::{fs, path::Path};

use crate::{
    Error, Operation, Result, Row, devices,
    disk::{Plugged, copy},
    operation::{Due, Start},
    pool::Pool,
    report::Lost,
    trial::{Attempt, Outcome, Setting},
    verify::{Known, verify},
};
use filler::{Filler, LEVELS, Level};

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
    let jobs = if disk.can_be_copied { pool.jobs } else { 1 };
    let levels: Vec<_> = (1..).zip(LEVELS).filter(|(step, _)| only.is_none_or(|only| only == *step)).collect();
    let answers = Pool { jobs, ..*pool }.run(&levels, |(_, level), dir| {
        attempt(setting, operation, &image, *level, dir)
            .unwrap_or_else(|problem| Outcome { problems: vec![problem], ..Outcome::default() })
    })?;
    for ((step, _), outcome) in levels.into_iter().zip(answers) {
        row.tried += 1;
        if outcome.problems.is_empty() {
            row.survived += 1;
        } else {
            let call = outcome.hit.unwrap_or_else(|| "before it was full".to_owned());
            row.lost.push(Lost { step, call, problems: outcome.problems });
        }
    }
    Ok(())
}

fn attempt(
    setting: &Setting<'_>,
    operation: &Operation,
    template: &Path,
    level: Level,
    dir: &Path,
) -> Result<Outcome, String> {
    let said = |error: Error| error.to_string();
    let (image, at) = (dir.join("image"), dir.join("disk"));
    copy(template, &image).map_err(said)?;
    let plugged = Plugged::plug(&setting.subject.disk(), &image, &at).map_err(said)?;
    let root = at.join("root");
    fs::create_dir(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
    let before = setting.prepare(operation, &root)?;
    let known = Known { operation, oracle: setting.oracle, before: &before, may_lose: true };
    let mut attempt = Attempt::new(setting, operation, &root);
    if operation.start == Start::Open {
        attempt.open();
    }
    // A pool of a process that was killed goes with it, and whatever stands on it would be in the way.
    let pool = if operation.start == Start::Open { devices::pool_below(&root) } else { None };
    let filler = Filler::fill(&at, pool, level).map_err(|error| format!("the disk cannot be filled: {error}"))?;
    let hit = Some(filler.what().to_owned());
    let failed = attempt.make();
    filler.remove().map_err(|error| format!("the disk cannot be emptied: {error}"))?;
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
    Ok(Outcome { hit, problems, ..Outcome::default() })
}
