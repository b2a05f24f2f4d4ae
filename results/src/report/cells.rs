//! The cells that stand for a whole run: what people ask first of a storage driver.

use std::collections::BTreeSet;

use super::Run;
use crate::{Params, Summary, table::quantity};

/// One question, and where its answer lies.
pub struct Key {
    workload: &'static str,
    phase: &'static str,
    metric: &'static str,
    /// Parameters that the cell must have.
    with: &'static [(&'static str, &'static str)],
    /// A parameter whose greatest value is the one to take.
    greatest: Option<&'static str>,
    /// What was done, as a noun.
    what: fn(&Params) -> String,
}

/// In the order of the page.
pub const KEYS: &[Key] = &[
    key("copyup", "first", "wall", &[("op", "append")], Some("size"), |p| {
        format!("first write to a file of {}", bytes(p, "size"))
    }),
    key("copyup", "first", "device_written_bytes", &[("op", "append")], Some("size"), |p| {
        format!("bytes written to the device by the first write to a file of {}", bytes(p, "size"))
    }),
    // Where a driver that copies pays what it saves at the first write.
    key("lifecycle", "create", "wall", &[("level", "container")], None, |_| {
        "making a container's writable layer".to_owned()
    }),
    key("lifecycle", "start", "wall", &[("level", "container")], None, |_| "start of a container".to_owned()),
    key("density", "one more", "memory_cgroup_slope", &[], None, |_| "memory that one more container takes".to_owned()),
    key("build", "build", "wall", &[], None, |p| format!("build of {}", p.get("dockerfile").unwrap_or("an image"))),
    key("commit", "all", "wall", &[("case", "many")], None, |_| "commit of many changed files".to_owned()),
    key("apply", "apply", "wall", &[("case", "many")], None, |_| "apply of a layer of many files".to_owned()),
    key("read", "read", "wall", &[("cache", "cold"), ("pattern", "sequential")], Some("containers"), |p| {
        format!("cold read by {} containers at once", p.get("containers").unwrap_or("several"))
    }),
    key(
        "read",
        "read",
        "device_read_bytes",
        &[("cache", "cold"), ("pattern", "sequential")],
        Some("containers"),
        |p| {
            format!(
                "bytes read from the device in a cold read by {} containers",
                p.get("containers").unwrap_or("several")
            )
        },
    ),
    key("delete", "remove", "wall", &[("case", "many")], None, |_| "removal of a layer of many files".to_owned()),
];

const fn key(
    workload: &'static str,
    phase: &'static str,
    metric: &'static str,
    with: &'static [(&'static str, &'static str)],
    greatest: Option<&'static str>,
    what: fn(&Params) -> String,
) -> Key {
    Key { workload, phase, metric, with, greatest, what }
}

/// One question and every driver's answer in one run, the cheapest first.
pub struct Answer<'a> {
    pub what: String,
    pub cells: Vec<&'a Summary>,
}

impl Key {
    /// `None` where the run does not have it.
    pub fn answer<'a>(&self, run: &'a Run) -> Option<Answer<'a>> {
        let fits = |s: &&Summary| {
            s.workload == self.workload
                && s.phase == self.phase
                && s.metric == self.metric
                && s.params.get("step").is_none()
                && s.median.is_finite()
                && self.with.iter().all(|(name, value)| s.params.get(name) == Some(value))
        };
        let all: Vec<_> = run.summaries.iter().filter(fits).collect();
        let rank = |s: &Summary| self.greatest.and_then(|name| s.params.get(name)?.parse::<u64>().ok()).unwrap_or(0);
        let best = all.iter().map(|s| rank(s)).max()?;
        // Of what is left, such as several depths, the first; all drivers are held against each other in one cell.
        let params = &all.iter().filter(|s| rank(s) == best).min_by_key(|s| &s.params)?.params;
        let mut cells: Vec<_> = all.iter().filter(|s| s.params == *params).copied().collect();
        cells.sort_by(|a, b| a.median.total_cmp(&b.median));
        Some(Answer { what: (self.what)(params), cells })
    }
}

/// Whether the two differ for certain: intervals that do not overlap, made of enough values to be intervals.
pub fn differ(a: &Summary, b: &Summary) -> bool {
    a.differs(b)
}

/// What was measured once or twice has no interval. That holds for counters, too: a device's are counted exactly, but
/// a file system need not write the same in every round.
pub fn is_interval(s: &Summary) -> bool {
    s.has_interval()
}

/// Drivers that measured something.
pub fn drivers(run: &Run) -> BTreeSet<&str> {
    run.summaries.iter().map(|s| s.driver.as_str()).collect()
}

fn bytes(params: &Params, name: &str) -> String {
    let Some(text) = params.get(name) else { return "unknown size".to_owned() };
    let Ok(size) = text.parse::<u64>() else { return text.to_owned() };
    let powers = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match powers.iter().find(|(power, _)| size >= *power && size % power == 0) {
        Some((power, unit)) => format!("{} {unit}", size / power),
        None => format!("{size} bytes"),
    }
}

/// `1.23 ms`, or a dash for what is no number.
pub fn shown(s: &Summary) -> String {
    if s.median.is_finite() { quantity(s.median, s.unit) } else { "–".to_owned() }
}

/// `1.23 ms (1.1 ms to 1.4 ms, n 5)`.
pub fn shown_whole(s: &Summary) -> String {
    format!("{} ({} to {}, n {})", shown(s), quantity(s.ci_low, s.unit), quantity(s.ci_high, s.unit), s.n)
}

/// `0.04×`, `1.4×`, `40×`.
pub fn times(ratio: f64) -> String {
    if ratio < 0.095 {
        format!("{ratio:.2}×")
    } else if ratio < 9.95 {
        format!("{ratio:.1}×")
    } else {
        format!("{ratio:.0}×")
    }
}
