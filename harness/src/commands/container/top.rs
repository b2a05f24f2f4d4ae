use std::{
    collections::HashMap,
    fs,
    time::{Duration, SystemTime},
};

use clap::Args;

use super::exec::running;
use crate::{cli::Common, commands::print, containers::Site, failure::Result, place::Place, table};

/// Show the processes of a running container, as the host has them
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    pub common: Common,
    /// The container, by name or id
    container: String,
}

pub fn run(args: &TopArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
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
    let rows: Vec<_> = running(&site, &record)?.processes()?.into_iter().map(row).collect();
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
