use std::io::{self, Write};

use clap::Args;
use harness_container::{Line, LogFilter, follow, read_log};
use harness_image::rfc3339;
use harness_runtime::Stream;

use crate::{
    cli::Common,
    commands::filters::time,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Show what a container wrote
#[derive(Debug, Args)]
pub struct LogsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Stay, and show what comes
    #[arg(long, short)]
    follow: bool,
    /// The last lines only; all for all
    #[arg(long, short = 'n', value_name = "N", default_value = "all")]
    tail: String,
    /// Not before this time, or so long ago: 2026-01-02T13:23:37Z, 42m30s
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show when each line was written
    #[arg(long, short)]
    timestamps: bool,
    /// The container, by name or id
    container: String,
}

pub fn run(args: &LogsArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    if record.configuration.log.off {
        return Err(Failure::failed(format!("container {} keeps no log (--log-driver none)", args.container)));
    }
    let tail = match args.tail.as_str() {
        "all" | "-1" => None,
        number => {
            Some(number.parse().map_err(|_| Failure::usage(format!("--tail takes a number or all, not {number}")))?)
        }
    };
    let since = args.since.as_deref().map(time).transpose()?;
    let until = args.until.as_deref().map(time).transpose()?;
    let filter = LogFilter { tail, since, until };
    let dir = site.containers.dir(&record.id);
    // A reader that went away (`| head -1`) wants no more.
    let mut sink = |line: Line| show(args, &line).is_ok();
    if !args.follow {
        return Ok(read_log(&dir, &filter, &mut sink)?);
    }
    let alive = || site.containers.state(&record.id).is_ok_and(|(_, status)| status.is_alive());
    Ok(follow(&dir, &filter, &alive, &mut sink)?)
}

fn show(args: &LogsArgs, line: &Line) -> io::Result<()> {
    let mut text = String::new();
    if args.timestamps {
        text = rfc3339(line.time) + " ";
    }
    text.push_str(&line.text);
    match line.stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        }
        Stream::Stderr => io::stderr().lock().write_all(text.as_bytes()),
    }
}
