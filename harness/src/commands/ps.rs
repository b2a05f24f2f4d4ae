use clap::Args;
use storage_driver::Timestamp;

use crate::{
    cli::Common,
    commands::print,
    containers::{Containers, Record, State},
    failure::Result,
    place::Place,
    table,
};

/// List containers
#[derive(Debug, Args)]
pub struct PsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show all containers, also those that have ended
    #[arg(long, short)]
    all: bool,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// Print ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// How to print: table or json (one object a line)
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

pub fn run(args: &PsArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let containers = Containers::open(place.containers())?;
    let mut shown = containers.list()?;
    shown.retain(|(_, state)| args.all || *state == State::Running);
    if args.quiet {
        return print(&shown.iter().map(|(record, _)| id(args, record) + "\n").collect::<String>());
    }
    if args.format == "json" {
        let lines = shown.iter().map(|(record, state)| json(record, *state) + "\n");
        return print(&lines.collect::<String>());
    }
    let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "DRIVER", "NAMES"];
    let rows: Vec<_> = shown.iter().map(|(record, state)| row(args, record, *state)).collect();
    print(&table::columns(&header, &rows))
}

fn row(args: &PsArgs, record: &Record, state: State) -> Vec<String> {
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    vec![
        id(args, record),
        record.image.clone(),
        format!("{:?}", shortened(args, &record.command.join(" "), 20)),
        table::ago(now, record.created.0),
        status(record, state, now),
        record.driver.clone(),
        record.name.clone(),
    ]
}

fn status(record: &Record, state: State, now: u64) -> String {
    let since = |then: u64| table::ago(now, then);
    match state {
        State::Running => format!("Up {}", since(record.created.0).trim_end_matches(" ago")),
        State::Exited(status) => format!("Exited ({status}) {}", since(record.finished.map_or(now, |at| at.0))),
        State::Dead => "Dead".to_owned(),
    }
}

fn id(args: &PsArgs, record: &Record) -> String {
    shortened(args, &record.id, 12)
}

fn shortened(args: &PsArgs, text: &str, length: usize) -> String {
    if args.no_trunc || text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length).collect()
}

fn json(record: &Record, state: State) -> String {
    let state = match state {
        State::Running => "running",
        State::Exited(_) => "exited",
        State::Dead => "dead",
    };
    serde_json::json!({
        "ID": record.id, "Image": record.image, "Command": record.command, "Names": record.name,
        "Driver": record.driver, "State": state, "ExitCode": record.status,
        "CreatedNs": record.created.0, "FinishedNs": record.finished.map(|at| at.0),
    })
    .to_string()
}
