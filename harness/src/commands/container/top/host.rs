//! The host's ps(1), of whose lines those of one container are shown, as docker does it.

use std::process::{Command, Stdio};

use anyhow::Context;
use harness_runtime::ContainerProcess;

use crate::{
    failure::{Failure, Result},
    table,
};

/// What `ps` with these options says of these processes.
pub fn table(options: &[String], processes: &[ContainerProcess]) -> Result<String> {
    if let Some(renamed) = options.iter().find(|option| renames_to_pid(option)) {
        return Err(Failure::usage(format!(
            "{renamed}: no other column may be called PID, by which processes are known"
        )));
    }
    let mut command = Command::new("ps");
    command.args(options).stdin(Stdio::null());
    let output = command.output().context("cannot run ps; Debian: apt-get install procps")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.trim().lines().next().unwrap_or("it failed").to_owned();
        return Err(Failure::usage(format!("ps {}: {why}", options.join(" "))));
    }
    let is_own = |pid: u32| processes.iter().any(|process| process.pid == pid);
    chosen(&String::from_utf8_lossy(&output.stdout), is_own)
}

/// `-o comm=PID` would have another column decide whose a process is.
fn renames_to_pid(option: &str) -> bool {
    option.split(',').filter_map(|column| column.split_once('=')).any(|(_, header)| header.trim().starts_with("PID"))
}

/// The header, and the lines of processes that are wanted.
fn chosen(text: &str, is_wanted: impl Fn(u32) -> bool) -> Result<String> {
    let mut lines = text.lines();
    let header: Vec<_> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = header.iter().position(|name| *name == "PID");
    let column = column.ok_or_else(|| Failure::usage("ps has to show the column PID; add -o pid"))?;
    let cells = |line: &str| {
        let mut rest = line.trim();
        let mut cells = Vec::new();
        // The last column may have spaces.
        for _ in 1..header.len() {
            let (cell, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            cells.push(cell.to_owned());
            rest = after.trim_start();
        }
        cells.push(rest.to_owned());
        cells
    };
    let is_own = |cells: &Vec<String>| cells[column].parse().is_ok_and(&is_wanted);
    let rows: Vec<_> = lines.map(cells).filter(is_own).collect();
    Ok(table::columns(&header, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_processes_are_left_out() {
        let text = "  PID COMMAND\n    1 init\n   77 sh -c  sleep 1\n  777 other\n";
        assert_eq!(chosen(text, |pid| pid == 77).unwrap(), "PID   COMMAND\n77    sh -c  sleep 1\n");
        assert!(chosen("COMMAND\nsh\n", |_| true).unwrap_err().to_string().contains("column PID"));
        assert!(renames_to_pid("user,comm=PID") && !renames_to_pid("user,pid") && !renames_to_pid("pid=ID"));
    }
}
