//! A container as `stats` shows it.

use std::time::Duration;

use harness_runtime::Stats;
use serde_json::json;
use storage_driver::Bytes;

use super::{StatsArgs, Used};
use crate::{commands::doctor, table, template::Value};

pub const TABLE: &str =
    r"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

pub const HEADERS: [(&str, &str); 9] = [
    ("ID", "CONTAINER ID"),
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

pub struct Row<'a> {
    used: &'a Used,
    stats: Stats,
    cpu_percent: Option<f64>,
}

impl<'a> Row<'a> {
    pub fn of(used: &'a Used, before: Option<Stats>, meanwhile: Duration) -> Self {
        let stats = used.stats.unwrap_or_default();
        let spent = stats.cpu_time.zip(before.and_then(|before| before.cpu_time));
        let cpu_percent =
            spent.map(|(now, before)| now.saturating_sub(before).as_secs_f64() / meanwhile.as_secs_f64() * 100.0);
        Self { used, stats, cpu_percent }
    }

    /// As docker: without cached files that were not used lately.
    fn memory(&self) -> Option<u64> {
        Some(self.stats.memory?.saturating_sub(self.stats.memory_inactive_file.unwrap_or(0)))
    }

    /// As docker: all of the host's where there is no limit, or none that could be reached.
    fn memory_limit(&self) -> Option<u64> {
        let whole = doctor::memory().get();
        self.stats.memory.map(|_| self.stats.memory_limit.map_or(whole, |limit| limit.min(whole)))
    }

    fn memory_percent(&self) -> Option<f64> {
        Some(self.memory()? as f64 / self.memory_limit()? as f64 * 100.0)
    }

    /// Docker's fields, and the same in numbers.
    pub fn fields(&self, args: &StatsArgs) -> Value {
        let none = || "--".to_owned();
        let size = |bytes: Option<u64>| bytes.map_or_else(none, |bytes| Bytes(bytes).to_string());
        let binary = |bytes: Option<u64>| bytes.map_or_else(none, table::binary);
        let percent = |percent: Option<f64>| percent.map_or_else(none, |percent| format!("{percent:.2}%"));
        let Self { used, stats, cpu_percent } = self;
        let (received, sent) = (used.net.map(|net| net.received), used.net.map(|net| net.sent));
        Value::of(&json!({
            "ID": if args.no_trunc { used.record.id.as_str() } else { used.record.short_id() },
            "Container": used.name, "Name": used.record.name,
            "CPUPerc": percent(*cpu_percent),
            "MemUsage": format!("{} / {}", binary(self.memory()), binary(self.memory_limit())),
            "MemPerc": percent(self.memory_percent()),
            "NetIO": format!("{} / {}", size(received), size(sent)),
            "BlockIO": format!("{} / {}", size(stats.block_read), size(stats.block_written)),
            "PIDs": stats.pids.map_or_else(none, |pids| pids.to_string()),
            "CPUPercent": cpu_percent, "MemoryBytes": self.memory(), "MemoryLimitBytes": stats.memory_limit,
            "MemoryPercent": self.memory_percent(), "BlockReadBytes": stats.block_read,
            "BlockWrittenBytes": stats.block_written, "NetReceivedBytes": received, "NetSentBytes": sent,
            "CPUNanoseconds": stats.cpu_time.map(|time| time.as_nanos() as u64),
        }))
    }
}
