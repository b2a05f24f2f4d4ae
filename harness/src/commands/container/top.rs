mod host;

use std::{
    collections::HashMap,
    fs,
    time::{Duration, SystemTime},
};

use clap::Args;

use super::exec::running;
use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    table,
};

/// Show the processes of a running container, as the host has them
///
/// With options of ps(1) the host's ps is asked, of whose lines those stay that are the container's: harness top web -o pid,comm
#[derive(Debug, Args)]
#[command(override_usage = "harness top [OPTIONS] CONTAINER [PS OPTIONS]")]
pub struct TopArgs {
    #[command(flatten)]
    pub common: Common,
    /// The container, by name or id, and options for ps(1)
    #[arg(required = true, value_name = "CONTAINER", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub fn run(args: &TopArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let Some((container, options)) = args.words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return Err(Failure::usage("the container stands before options for ps(1): harness top web -o pid,comm"));
    };
    let record = site.find(container)?;
    let processes = running(&site, &record)?.processes()?;
    if !options.is_empty() {
        return print(&host::table(options, &processes)?);
    }
    let users = users();
    let row = |process: harness_runtime::ContainerProcess| {
        let words: Vec<_> = process.command.iter().map(|word| word.to_string_lossy()).collect();
        vec![
            users.get(&process.uid).cloned().unwrap_or_else(|| process.uid.to_string()),
            process.pid.to_string(),
            process.parent.to_string(),
            age(process.started),
            terminal(process.terminal),
            clock(process.cpu_time),
            words.join(" "),
        ]
    };
    let rows: Vec<_> = processes.into_iter().map(row).collect();
    print(&table::columns(&["UID", "PID", "PPID", "ELAPSED", "TTY", "TIME", "CMD"], &rows))
}

/// Names of the host's users, see passwd(5).
fn users() -> HashMap<u32, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    passwd.lines().filter_map(entry).collect()
}

fn age(started: SystemTime) -> String {
    clock(SystemTime::now().duration_since(started).unwrap_or_default())
}

/// Hours, minutes and seconds, as ps(1) has them.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Pseudo terminals by their number (devpts has the majors 136 to 143), as ps(1) has them.
fn terminal(device: Option<(u32, u32)>) -> String {
    match device {
        Some((major @ 136..=143, minor)) => format!("pts/{}", (major - 136) * 256 + minor),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_those_of_ps() {
        assert_eq!(clock(Duration::from_secs(3_725)), "01:02:05");
        assert_eq!(terminal(Some((136, 3))), "pts/3");
        assert_eq!(terminal(None), "?");
    }
}
