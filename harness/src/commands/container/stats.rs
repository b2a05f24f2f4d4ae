use std::{
    io::{IsTerminal, stdout},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use harness_container::{Record, Status};
use harness_runtime::Stats;
use storage_driver::Bytes;

use super::exec::running;
use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    table,
};

/// Between two looks; processor use is what was used meanwhile.
const BETWEEN: Duration = Duration::from_secs(1);

/// Show what running containers use
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show it once, instead of again and again until Ctrl-C
    #[arg(long)]
    no_stream: bool,
    /// How to print: table or json (one object a line)
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Containers, by name or id [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &StatsArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let mut before = look(&site, args)?;
    loop {
        let asked = Instant::now();
        thread::sleep(BETWEEN);
        let now = look(&site, args)?;
        show(args, &before, &now, asked.elapsed())?;
        if args.no_stream {
            return Ok(());
        }
        before = now;
    }
}

/// What one container has used until now; `None` for one without a cgroup.
type Used = (Record, Option<Stats>);

fn look(site: &Site, args: &StatsArgs) -> Result<Vec<Used>> {
    if args.containers.is_empty() {
        let all = site
            .containers
            .list()?
            .into_iter()
            .filter(|(_, status)| matches!(status, Status::Running | Status::Paused));
        // One that ends meanwhile is not there any more.
        return Ok(all.filter_map(|(record, _)| used(site, record).ok()).collect());
    }
    args.containers.iter().map(|name| used(site, site.find(name)?)).collect()
}

fn used(site: &Site, record: Record) -> Result<Used> {
    let stats = running(site, &record)?.stats().map_err(Failure::from)?;
    Ok((record, stats))
}

fn show(args: &StatsArgs, before: &[Used], now: &[Used], meanwhile: Duration) -> Result {
    let of = |id: &str| before.iter().find(|(record, _)| record.id == id).and_then(|(_, stats)| *stats);
    let rows: Vec<_> = now.iter().map(|(record, stats)| Row::of(record, of(&record.id), *stats, meanwhile)).collect();
    if args.format == "json" {
        return print(&rows.iter().map(|row| row.json() + "\n").collect::<String>());
    }
    let header = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "BLOCK I/O", "PIDS"];
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    // On a terminal each look takes the place of the one before.
    let clear = if stdout().is_terminal() && !args.no_stream { "\x1b[2J\x1b[H" } else { "" };
    print(&format!("{clear}{}", table::columns(&header, &cells)))
}

struct Row<'a> {
    record: &'a Record,
    stats: Option<Stats>,
    cpu_percent: Option<f64>,
}

impl<'a> Row<'a> {
    fn of(record: &'a Record, before: Option<Stats>, stats: Option<Stats>, meanwhile: Duration) -> Self {
        let spent = stats.and_then(|stats| stats.cpu_time).zip(before.and_then(|before| before.cpu_time));
        let cpu_percent =
            spent.map(|(now, before)| now.saturating_sub(before).as_secs_f64() / meanwhile.as_secs_f64() * 100.0);
        Self { record, stats, cpu_percent }
    }

    /// As docker: without cached files that were not used lately.
    fn memory(&self) -> Option<u64> {
        let stats = self.stats?;
        Some(stats.memory?.saturating_sub(stats.memory_inactive_file.unwrap_or(0)))
    }

    fn memory_percent(&self) -> Option<f64> {
        Some(self.memory()? as f64 / self.stats?.memory_limit? as f64 * 100.0)
    }

    fn cells(&self) -> Vec<String> {
        let size = |bytes: Option<u64>| bytes.map_or("--".to_owned(), |bytes| Bytes(bytes).to_string());
        let percent = |percent: Option<f64>| percent.map_or("--".to_owned(), |percent| format!("{percent:.2}%"));
        let stats = self.stats.unwrap_or_default();
        vec![
            self.record.short_id().to_owned(),
            self.record.name.clone(),
            percent(self.cpu_percent),
            format!("{} / {}", size(self.memory()), size(stats.memory_limit)),
            percent(self.memory_percent()),
            format!("{} / {}", size(stats.block_read), size(stats.block_written)),
            stats.pids.map_or("--".to_owned(), |pids| pids.to_string()),
        ]
    }

    fn json(&self) -> String {
        let stats = self.stats.unwrap_or_default();
        serde_json::json!({
            "ID": self.record.short_id(), "Name": self.record.name, "CPUPercent": self.cpu_percent,
            "MemoryBytes": self.memory(), "MemoryLimitBytes": stats.memory_limit, "MemoryPercent": self.memory_percent(),
            "BlockReadBytes": stats.block_read, "BlockWrittenBytes": stats.block_written, "PIDs": stats.pids,
            "CPUNanoseconds": stats.cpu_time.map(|time| time.as_nanos() as u64),
        })
        .to_string()
    }
}
