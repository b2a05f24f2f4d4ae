//! Going on with a run that was interrupted.

use std::path::Path;

use anyhow::Context;
use results::{Fingerprint, RunDir, RunRecord};

use super::BenchArgs;
use crate::{
    cli::{Cli, Command},
    failure::{Failure, Result},
};

/// An interrupted run.
pub struct Resumed {
    /// As it was started.
    pub args: BenchArgs,
    pub dir: RunDir,
    pub record: RunRecord,
}

/// Reads what was run in `path`; this process is in the run's working directory afterwards, so that its arguments mean
/// what they meant.
pub fn open(path: &Path) -> Result<Resumed> {
    let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
    let dir = RunDir::open(&path);
    let record = dir.read_record()?;
    check(&path, &record)?;
    let args = arguments(&record.command)?;
    std::env::set_current_dir(&record.directory)
        .with_context(|| format!("cannot enter {}, where the run was started", record.directory.display()))?;
    Ok(Resumed { args, dir, record })
}

/// Rounds of another program or another machine do not belong to the same run.
fn check(path: &Path, record: &RunRecord) -> Result {
    let refuse = |why: &str| Err(Failure::usage(format!("{} cannot be resumed: {why}", path.display())));
    if record.outcome.as_deref() == Some("complete") {
        return refuse("it is complete");
    }
    if record.host != Fingerprint::of_this_host() {
        return refuse("it was measured on another machine or kernel; start a new run");
    }
    if record.version != env!("CARGO_PKG_VERSION") || record.commit.as_deref() != option_env!("HARNESS_COMMIT") {
        return refuse("it was measured by another version of this program; start a new run");
    }
    Ok(())
}

fn arguments(command: &[String]) -> Result<BenchArgs> {
    match Cli::read(command).context("the run's command line is not understood any more")? {
        Command::Bench(args) => Ok(args),
        _ => Err(Failure::usage("the run was not made by `harness bench`, and cannot be resumed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_the_run() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in
            ["harness --driver vfs --workload churn --runs 7", "harness bench --driver vfs --workload churn --runs 7"]
        {
            let args = arguments(&words(line)).unwrap();
            assert_eq!((args.runs, args.workload), (Some(7), vec!["churn".to_owned()]));
        }
        assert!(arguments(&words("harness list")).is_err());
        assert!(arguments(&words("harness bench --nonsense")).is_err());
    }
}
