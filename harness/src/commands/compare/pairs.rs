//! Two programs that do the same work, by turns.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

use anyhow::Context;
use results::{Recorded, RunDir, Sample};

use crate::{
    failure::{Failure, Result},
    progress::Progress,
    signals,
};

/// One side: a harness and what it is to run.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
}

impl Program {
    /// Another build of the harness.
    pub fn of(path: &Path, args: &[OsString]) -> Self {
        Self { path: path.to_owned(), args: args.to_vec() }
    }

    /// This one.
    pub fn this(args: &[OsString]) -> Result<Self> {
        let path = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { path, args: args.to_vec() })
    }

    /// Runs it once, `rounds` rounds, into `out`.
    pub fn measure(&self, rounds: u32, out: &Path) -> Result<Recorded> {
        let mut command = Command::new(&self.path);
        command.arg("bench").args(&self.args).arg("--runs").arg(rounds.to_string()).arg("--out").arg(out);
        let output = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let args: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
            let why = said.lines().last().unwrap_or_default();
            let message = format!("{} bench {}: {}: {why}", self.path.display(), args.join(" "), output.status);
            return Err(match output.status.code() {
                Some(2) => Failure::usage(message),
                _ => Failure::failed(message),
            });
        }
        Ok(Recorded::read(out)?)
    }
}

/// Rounds of one process. What is made anew with it (testbeds, base images) is not part of any round.
const AT_ONCE: u32 = 3;

/// How often, and in which order.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// Rounds of each side.
    pub rounds: u32,
    /// Of the order.
    pub seed: u64,
}

impl Pairs {
    /// Runs both sides by turns, in random order (ABBA, BAAB ...), and puts each one's rounds together, in `out`.
    pub fn run(self, sides: &[Program; 2], out: &Path, stop: &AtomicBool) -> Result<[Recorded; 2]> {
        let blocks = self.rounds.div_ceil(AT_ONCE).max(1);
        let total = 2 * u64::from(blocks);
        let bar = Progress::new(total);
        let mut parts: [Vec<Recorded>; 2] = [Vec::new(), Vec::new()];
        for block in 0..blocks {
            let rounds = AT_ONCE.min(self.rounds - block * AT_ONCE).max(1);
            for side in order(self.seed, block) {
                if signals::stopped(stop) {
                    return Err(Failure::Status(130, Some(anyhow::anyhow!("stopped"))));
                }
                let name = ["base", "new"][side];
                let done = parts.iter().map(Vec::len).sum::<usize>() as u64;
                bar.show(done, total, &format!("{name}, block {} of {blocks}", block + 1));
                let dir = out.join("parts").join(format!("{name}-{block:03}"));
                parts[side].push(sides[side].measure(rounds, &dir)?);
            }
        }
        let [base, new] = parts;
        Ok([together(base, &out.join("base"))?, together(new, &out.join("new"))?])
    }
}

/// Which side goes first: a coin for every second block, and the other way round in the one after it, so that each goes first as often.
fn order(seed: u64, block: u32) -> [usize; 2] {
    let hash = (seed ^ u64::from(block / 2)).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let coin = (hash ^ (hash >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 63 == 1;
    if coin == block.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// One run of many, its rounds numbered through.
fn together(parts: Vec<Recorded>, into: &Path) -> Result<Recorded> {
    let dir = RunDir::create(into)?;
    let mut writer = dir.writer()?;
    let mut offset = 0;
    for part in &parts {
        for sample in &part.samples {
            writer.write(&Sample { round: sample.round + offset, ..sample.clone() })?;
        }
        offset += part.record.rounds;
    }
    let mut record = parts.into_iter().next().map(|part| part.record).ok_or_else(|| Failure::usage("no rounds"))?;
    record.rounds = offset;
    dir.write_record(&record)?;
    Ok(Recorded::read(into)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_goes_first_as_often() {
        let first: Vec<_> = (0..40).map(|block| order(7, block)[0]).collect();
        assert_eq!(first.iter().filter(|side| **side == 0).count(), 20);
        assert!(first.chunks(2).all(|two| two[0] != two[1]));
        assert!(first.chunks(2).any(|two| two[0] == 0) && first.chunks(2).any(|two| two[0] == 1));
    }
}
