//! Counters and shapes: what is counted exactly is compared exactly, up to what the kernel itself varies.

use super::{CellId, Side, Verdict};
use crate::{Kind, Unit, mad};

/// From how many rounds of the base its own spread is known well enough to widen a tolerance.
const CALIBRATED: usize = 20;
/// Fewer rounds than that may all have met with the same accident, such as a page that had to be read again.
const ENOUGH: usize = 3;
/// Reads are what the kernel guesses will be wanted, and what it still remembers: only a multiple means something.
const AHEAD: f64 = 0.3;
/// So many times its median absolute deviation.
const DEVIATIONS: f64 = 6.0;

/// What is said of a counter or a shape, and why.
pub(super) fn judge(cell: &CellId, base: &[f64], new: &[f64], bed: Bed) -> (Verdict, String) {
    match judge_rounds(cell, base, new, bed) {
        (Verdict::Regress, why) if new.len() < ENOUGH => {
            (Verdict::Warn, format!("{why}; {} round(s) only, {ENOUGH} would fail", new.len()))
        }
        judged => judged,
    }
}

fn judge_rounds(cell: &CellId, base: &[f64], new: &[f64], bed: Bed) -> (Verdict, String) {
    let (old, now) = (Side::of(base), Side::of(new));
    if cell.kind == Kind::Shape
        && let Some(limits) = Limits::of(&cell.metric, old.median)
    {
        return limits.judge(old.median, now.median);
    }
    let tolerance = tolerance(cell, base, bed);
    let difference = now.median - old.median;
    if now.least - old.most > tolerance {
        return (Verdict::Regress, format!("every round of it costs more; tolerance {}", text(tolerance)));
    }
    if old.least - now.most > tolerance {
        return (Verdict::Improve, format!("every round of it costs less; tolerance {}", text(tolerance)));
    }
    // What few rounds of the base show of its spread is not in the tolerance.
    let known = if base.len() < CALIBRATED { old.most - old.least } else { 0.0 };
    for (whose, spread) in [("its", now.most - now.least), ("the base's", known)] {
        if spread > tolerance && difference.abs() > tolerance {
            let why = format!("{whose} rounds differ by {}; tolerance {}", text(spread), text(tolerance));
            return (Verdict::Unstable, why);
        }
    }
    match difference {
        d if d > tolerance => (Verdict::Regress, format!("more by {}; tolerance {}", text(d), text(tolerance))),
        d if -d > tolerance => (Verdict::Improve, format!("less by {}; tolerance {}", text(-d), text(tolerance))),
        _ => (Verdict::Pass, format!("tolerance {}", text(tolerance))),
    }
}

/// What lies below the driver, as far as its own writes repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bed {
    /// The same requests each time, but for a journal block.
    Steady,
    /// btrfs: checksums and extents of files that are written back side by side get into the trees in the order in which they happen
    /// to be done, and the trees' nodes split accordingly.
    Trees,
}

/// Syncs that meet, by the cell's own parameters: each waits for the commit of the journal that is under way, or begins the next one, so how
/// many commits there are is a matter of who came first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Syncs {
    /// Containers that end at once; 0 where each ends before the next begins.
    at_once: f64,
    /// Layers that are sealed, or lives that end, one right after the other.
    in_a_row: f64,
}

impl Syncs {
    fn of(cell: &CellId) -> Self {
        let number = |name| cell.params.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        let at_once = number("parallel");
        let alone = if at_once == 1.0 { 2.0 } else { 0.0 };
        // Its blobs and layers, of which one in ten meets a commit.
        let build = if cell.phase == "build" { 5.0 } else { 0.0 };
        Self { at_once: if at_once < 2.0 { 0.0 } else { at_once }, in_a_row: number("layers").max(alone).max(build) }
    }

    /// Of those that end at once, as far as commits of a journal go: more than eight hardly vary by more.
    const fn few(self) -> f64 {
        self.at_once.min(8.0)
    }

    /// Absolute number of flushes: a commit more for each that might have shared one; and where a commit had begun when its file was
    /// written, a flush of that file's own.
    const fn flushes(self) -> f64 {
        2.0 + self.few() + 0.75 * self.in_a_row
    }

    /// Absolute number of requests: descriptor, record and blocks of each such commit; and blocks that are put in their place by this sync or
    /// the next.
    const fn requests(self) -> f64 {
        4.0 + 10.0 * self.few() + 3.0 * self.in_a_row
    }

    /// Absolute number of bytes: blocks that several such commits have.
    const fn bytes(self) -> f64 {
        65536.0 + 40960.0 * self.few()
    }
}

impl Bed {
    /// Share and absolute number of bytes written.
    fn bytes(self, syncs: Syncs) -> (f64, f64) {
        match self {
            Self::Steady => (0.01, syncs.bytes()),
            // Some nodes of 16 KiB, and some more for each snapshot that is made and dropped beside others.
            Self::Trees => (0.12, 24576.0 * syncs.at_once + 262_144.0),
        }
    }

    /// Share and absolute number of requests.
    fn requests(self, syncs: Syncs) -> (f64, f64) {
        match self {
            Self::Steady => (0.02, syncs.requests()),
            Self::Trees => (0.08, 2.0 * syncs.at_once + 16.0),
        }
    }

    /// Absolute number of bytes that layers hold.
    const fn allocated(self, is_sum: bool) -> f64 {
        match (self, is_sum) {
            // The nodes that a layer has for itself, one more or less for most of the build's.
            (Self::Trees, true) => 131_072.0,
            _ => 65536.0,
        }
    }
}

/// Workloads whose programs lie in the image: they are read again where others on the machine have pushed them out of memory.
const PROGRAMS: [&str; 5] = ["build", "churn", "database", "density", "lifecycle"];

/// Absolute number of bytes read.
fn read(cell: &CellId) -> f64 {
    if PROGRAMS.contains(&&*cell.workload) { 2_097_152.0 } else { 1_048_576.0 }
}

/// How far a median may move: the kernel's own variation (a journal block more or less), or what this cell varied by in
/// many rounds of the base.
fn tolerance(cell: &CellId, base: &[f64], bed: Bed) -> f64 {
    let median = crate::median(base).abs();
    let of = |(share, number): (f64, f64)| (share * median).max(number);
    let syncs = Syncs::of(cell);
    let usual = match (cell.unit, cell.metric.as_str()) {
        (Unit::Bytes, "device_read_bytes") => of((AHEAD, read(cell))),
        (Unit::Count, "device_reads") => of((AHEAD, 256.0)),
        (Unit::Count, "device_flushes") => of((0.02, syncs.flushes())),
        // A read or a seek more where buffers end elsewhere.
        (Unit::Count, "syscalls") => of((0.02, 8.0)),
        // Of the whole file system, whose trees are among it.
        (Unit::Bytes, "held_bytes" | "disk_bytes") => of(bed.bytes(syncs)),
        (Unit::Bytes, metric) if metric.starts_with("device_") => of(bed.bytes(syncs)),
        // Of a thousand inodes and more, so 64 KiB of the device.
        (Unit::Bytes, "metadata_amplification") => of((bed.bytes(syncs).0, 64.0)),
        (Unit::Bytes, "allocated_bytes") => of((0.01, bed.allocated(cell.phase == "build"))),
        (Unit::Bytes, _) => of((0.01, 65536.0)),
        (Unit::Count, metric) if metric.starts_with("device_") => of(bed.requests(syncs)),
        (Unit::Count | Unit::Seconds, _) => 0.02 * median,
        (Unit::Ratio, "device_read_factor") => AHEAD * median,
        (Unit::Ratio, metric) => of((0.02, ratio_floor(metric))),
    };
    if base.len() < CALIBRATED { usual } else { usual.max(DEVIATIONS * mad(base)) }
}

/// Ratios whose numerator is a count of few: their smallest step that means something.
fn ratio_floor(metric: &str) -> f64 {
    match metric {
        "disk_bytes_slope" => 65536.0,
        "extents_slope" => 1.0,
        _ if metric.ends_with("_slope") => 0.01,
        // Two flushes of ten.
        _ if metric.starts_with("flushes_per_") => 0.2,
        _ => 0.0,
    }
}

/// Where a shape must lie, whatever the base had there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    from: f64,
    to: f64,
    what: &'static str,
}

impl Limits {
    /// By what the driver was in the base: one that copies files, or shares their blocks, or shares their cache.
    fn of(metric: &str, base: f64) -> Option<Self> {
        let limits = |from, to, what| Some(Self { from, to, what });
        match metric {
            "allocated_slope" if base >= 0.5 => limits(0.98, 1.02, "a file-copying driver copies a file once"),
            "allocated_slope" if base < 0.01 => limits(-0.01, 0.01, "a block-sharing driver copies no file"),
            // Whole blocks, of a pool whose block size is the intercept.
            "allocated_intercept" if base > 0.0 => {
                limits(0.95 * base, (1.05 * base).max(base + 8192.0), "a first write costs one block")
            }
            "device_read_factor" | "page_cache_factor" if base <= 1.3 => {
                limits(0.0, 1.3, "a shared page cache is read into once")
            }
            _ => None,
        }
    }

    fn judge(self, base: f64, new: f64) -> (Verdict, String) {
        let Self { from, to, what } = self;
        let why = format!("{what}: {} to {}", text(from), text(to));
        // What already lay outside is no news until it gets worse.
        let verdict = match new {
            new if new > to.max(base * 1.02) => Verdict::Regress,
            new if new < from.min(base * 0.98) => Verdict::Improve,
            _ => Verdict::Pass,
        };
        (verdict, why)
    }
}

/// At most three decimals, and none that are zero.
pub(super) fn text(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn cell(metric: &str, unit: Unit, kind: Kind) -> CellId {
        let own = str::to_owned;
        CellId {
            driver: own("vfs"),
            workload: own("copyup"),
            params: Params::default(),
            phase: own("first"),
            metric: own(metric),
            unit,
            kind,
        }
    }

    fn verdict(metric: &str, unit: Unit, base: &[f64], new: &[f64]) -> Verdict {
        let kind = if unit == Unit::Ratio { Kind::Shape } else { Kind::Counter };
        judge(&cell(metric, unit, kind), base, new, Bed::Steady).0
    }

    const MIB: f64 = 1_048_576.0;

    #[test]
    fn bytes_may_vary_by_a_hundredth_or_64_kib() {
        let bytes = |base: f64, new: f64| verdict("device_written_bytes", Unit::Bytes, &[base; 3], &[new; 3]);
        assert_eq!(bytes(MIB, MIB + 65536.0), Verdict::Pass);
        assert_eq!(bytes(MIB, MIB + 65537.0), Verdict::Regress);
        assert_eq!(bytes(MIB, MIB - 65537.0), Verdict::Improve);
        assert_eq!(bytes(100.0 * MIB, 100.9 * MIB), Verdict::Pass);
        assert_eq!(bytes(100.0 * MIB, 101.1 * MIB), Verdict::Regress);
        assert_eq!(bytes(0.0, 0.0), Verdict::Pass);
    }

    #[test]
    fn requests_may_vary_by_few_and_what_a_driver_counts_not_at_all() {
        let count = |metric, base: f64, new: f64| verdict(metric, Unit::Count, &[base; 3], &[new; 3]);
        assert_eq!(count("device_writes", 4.0, 8.0), Verdict::Pass);
        assert_eq!(count("device_writes", 4.0, 9.0), Verdict::Regress);
        assert_eq!(count("device_flushes", 4.0, 6.0), Verdict::Pass);
        assert_eq!(count("device_flushes", 4.0, 7.0), Verdict::Regress);
        assert_eq!(count("device_flushes", 1000.0, 1021.0), Verdict::Regress);
        assert_eq!(count("copied_up_files", 0.0, 1.0), Verdict::Regress);
        assert_eq!(count("copied_up_files", 1.0, 0.0), Verdict::Improve);
    }

    #[test]
    fn trees_vary_by_some_nodes_and_flushes_nowhere() {
        let judged = |metric, unit, base: f64, new: f64| {
            judge(&cell(metric, unit, Kind::Counter), &[base; 3], &[new; 3], Bed::Trees).0
        };
        assert_eq!(judged("device_written_bytes", Unit::Bytes, MIB, MIB + 262_144.0), Verdict::Pass);
        assert_eq!(judged("device_written_bytes", Unit::Bytes, MIB, MIB + 262_145.0), Verdict::Regress);
        assert_eq!(judged("device_writes", Unit::Count, 20.0, 36.0), Verdict::Pass);
        assert_eq!(judged("device_flushes", Unit::Count, 20.0, 23.0), Verdict::Regress);
        assert_eq!(judged("allocated_bytes", Unit::Bytes, MIB, MIB + 65537.0), Verdict::Regress);
        assert_eq!(judged("held_bytes", Unit::Bytes, 3.0 * MIB, 3.0 * MIB + 98304.0), Verdict::Pass);
    }

    /// The verdict on a counter of the device where the cell's own parameters say that syncs meet.
    fn met(param: (&str, u32), metric: &str, base: f64, new: f64) -> Verdict {
        let unit = if metric.ends_with("bytes") { Unit::Bytes } else { Unit::Count };
        let plain = cell(metric, unit, Kind::Counter);
        let cell = CellId { params: Params::default().with(param.0, format!("{:02}", param.1)), ..plain };
        judge(&cell, &[base; 3], &[new; 3], Bed::Steady).0
    }

    #[test]
    fn containers_that_end_at_once_share_more_or_fewer_commits() {
        let flushes = |parallel, base, new| met(("parallel", parallel), "device_flushes", base, new);
        assert_eq!(flushes(8, 8.0, 17.0), Verdict::Pass);
        assert_eq!(flushes(8, 8.0, 19.0), Verdict::Regress);
        assert_eq!(flushes(2, 8.0, 12.0), Verdict::Pass);
        assert_eq!(flushes(2, 8.0, 13.0), Verdict::Regress);
        assert_eq!(flushes(64, 40.0, 51.0), Verdict::Regress, "more than eight at once have no more");
        let eight = |metric, base, new| met(("parallel", 8), metric, base, new);
        assert_eq!(eight("device_writes", 181.0, 251.0), Verdict::Pass);
        assert_eq!(eight("device_writes", 181.0, 270.0), Verdict::Regress);
        assert_eq!(eight("device_written_bytes", 741_376.0, 1_019_904.0), Verdict::Pass);
        assert_eq!(eight("device_written_bytes", 741_376.0, 1_200_000.0), Verdict::Regress);
        // What is no device's.
        assert_eq!(eight("copied_up_files", 3.0, 4.0), Verdict::Regress);
    }

    #[test]
    fn snapshots_that_come_and_go_at_once_split_more_or_fewer_nodes() {
        let at_once = |parallel: &str, metric, base, new| {
            let unit = if metric == "device_writes" { Unit::Count } else { Unit::Bytes };
            let params = Params::default().with("parallel", parallel);
            let cell = CellId { params, ..cell(metric, unit, Kind::Counter) };
            judge(&cell, &[base; 3], &[new; 3], Bed::Trees).0
        };
        assert_eq!(at_once("32", "device_writes", 242.0, 296.0), Verdict::Pass);
        assert_eq!(at_once("32", "device_writes", 242.0, 330.0), Verdict::Regress);
        assert_eq!(at_once("08", "device_written_bytes", 1_318_912.0, 1_679_360.0), Verdict::Pass);
        assert_eq!(at_once("08", "device_written_bytes", 1_318_912.0, 1_800_000.0), Verdict::Regress);
        assert_eq!(at_once("01", "device_writes", 52.0, 72.0), Verdict::Regress);
    }

    #[test]
    fn containers_that_end_one_after_the_other_share_none() {
        let one = |metric, base, new| met(("parallel", 1), metric, base, new);
        assert_eq!(one("device_flushes", 6.0, 9.0), Verdict::Pass);
        assert_eq!(one("device_flushes", 6.0, 10.0), Verdict::Regress);
        assert_eq!(one("device_writes", 40.0, 51.0), Verdict::Regress);
        assert_eq!(one("device_written_bytes", 300_000.0, 370_000.0), Verdict::Regress);
    }

    #[test]
    fn layers_that_are_sealed_in_a_row_meet_a_commit_now_and_then() {
        let sixteen = |metric, base, new| met(("layers", 16), metric, base, new);
        assert_eq!(sixteen("device_flushes", 97.0, 106.0), Verdict::Pass);
        assert_eq!(sixteen("device_flushes", 228.0, 241.0), Verdict::Pass);
        assert_eq!(sixteen("device_flushes", 228.0, 244.0), Verdict::Regress);
        assert_eq!(sixteen("device_writes", 922.0, 961.0), Verdict::Pass);
        assert_eq!(sixteen("device_writes", 922.0, 980.0), Verdict::Regress);
        assert_eq!(sixteen("device_written_bytes", MIB, MIB + 65537.0), Verdict::Regress);
    }

    #[test]
    fn rounds_that_disagree_are_unstable_unless_all_of_them_are_worse() {
        let flushes = |base: &[f64], new: &[f64]| verdict("device_flushes", Unit::Count, base, new);
        assert_eq!(flushes(&[4.0, 4.0, 4.0], &[4.0, 40.0, 90.0]), Verdict::Unstable);
        assert_eq!(flushes(&[4.0, 4.0, 4.0], &[20.0, 40.0, 90.0]), Verdict::Regress);
        assert_eq!(flushes(&[4.0, 4.0, 4.0], &[4.0, 4.0, 90.0]), Verdict::Pass);
    }

    #[test]
    fn rounds_of_the_base_that_disagree_are_unstable_too_unless_there_are_so_many_that_its_spread_is_known() {
        // An A/A run of commits met these on ext4.
        let bytes = |base: &[f64], new: &[f64]| verdict("device_written_bytes", Unit::Bytes, base, new);
        let base = [4_919_296.0, 4_919_296.0, 5_029_888.0];
        assert_eq!(bytes(&base, &[5_001_216.0; 3]), Verdict::Unstable);
        assert_eq!(bytes(&base, &[5_200_000.0; 3]), Verdict::Regress, "behind all of the base's");
        let known = [4_919_296.0; 19].into_iter().chain([5_029_888.0]).collect::<Vec<_>>();
        assert_eq!(bytes(&known, &[5_001_216.0; 3]), Verdict::Regress, "one round of twenty is an accident");
    }

    #[test]
    fn a_well_known_cell_has_the_tolerance_that_it_needs() {
        let base: Vec<f64> = (0..20).map(|round| if round % 2 == 0 { 100.0 } else { 110.0 }).collect();
        assert_eq!(verdict("device_writes", Unit::Count, &base, &[130.0; 3]), Verdict::Pass);
        assert_eq!(verdict("device_writes", Unit::Count, &base[..19], &[130.0; 3]), Verdict::Regress);
        assert_eq!(verdict("device_writes", Unit::Count, &base, &[145.0; 3]), Verdict::Regress);
    }

    #[test]
    fn one_round_alone_warns() {
        assert_eq!(verdict("copied_up_files", Unit::Count, &[0.0], &[9.0]), Verdict::Warn);
        assert_eq!(verdict("copied_up_files", Unit::Count, &[0.0], &[9.0; 3]), Verdict::Regress);
    }

    #[test]
    fn shapes_have_their_own_limits() {
        let shape = |metric, base: f64, new: f64| verdict(metric, Unit::Ratio, &[base], &[new; 3]);
        assert_eq!(shape("allocated_slope", 1.0, 1.01), Verdict::Pass);
        assert_eq!(shape("allocated_slope", 1.0, 1.03), Verdict::Regress);
        assert_eq!(shape("allocated_slope", 1.0, 0.0), Verdict::Improve);
        assert_eq!(shape("allocated_slope", 0.0, 0.02), Verdict::Regress);
        assert_eq!(shape("page_cache_factor", 1.0, 1.29), Verdict::Pass);
        assert_eq!(shape("page_cache_factor", 1.0, 4.0), Verdict::Regress);
        assert_eq!(shape("page_cache_factor", 4.0, 4.0), Verdict::Pass);
        let kind = Kind::Shape;
        let intercept = |base: f64, new: f64| {
            judge(&cell("allocated_intercept", Unit::Bytes, kind), &[base], &[new; 3], Bed::Steady).0
        };
        assert_eq!(intercept(65536.0, 65536.0), Verdict::Pass);
        assert_eq!(intercept(65536.0, 524_288.0), Verdict::Regress);
    }
}
