//! SQLite's own engine, in a container.

use super::{Origin, Sizes, mounted, take_away};
use crate::{
    DatabaseReport, DatabaseWork, Engine, Error, Journal, Quantity, Recorder, Result, SharedContainers,
    measure::{Cell, metered},
};

/// The content of the database, and which of its rows are written, are the same in every run.
pub(super) const SEED: u64 = 20;

const STAY: [&str; 2] = ["sleep", "100000"];

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) origin: Origin,
    pub(super) journal: Journal,
    pub(super) sizes: Sizes,
}

impl Case {
    fn work(&self, fill: u64, transactions: u64) -> DatabaseWork {
        let file = format!("/data/{}.db", self.origin.name());
        DatabaseWork { file, journal: self.journal, fill, transactions, seed: SEED }
    }
}

/// Runs it in a container of its own.
pub(super) fn run(
    case: &Case,
    containers: &SharedContainers,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let (mut container, _) = mounted(containers)?;
    container.start(&STAY, false)?;
    if case.origin == Origin::New {
        container.database(&case.work(case.sizes.rows, 0))?;
    }
    let work = case.work(0, case.sizes.transactions);
    let (report, cost) = metered(engine, |_| container.database(&work))?;
    check(case, &report)?;
    let params = [("file", case.origin.name()), ("journal", case.journal.name()), ("sqlite", report.version.as_str())];
    let cell = |phase| Cell { params: &params, phase };
    record_times(&report, &params, recorder)?;
    let all = cell("all");
    all.put_cost(recorder, &cost)?;
    if let Some(device) = cost.device {
        let each = device.flushes as f64 / case.sizes.transactions as f64;
        all.put(recorder, "flushes_per_transaction", Quantity::Ratio(each))?;
    }
    container.stop()?;
    let copied_up = engine.driver().usage(container.layer())?.copied_up;
    all.put(recorder, "copied_up_files", Quantity::Count(copied_up.files))?;
    all.put(recorder, "copied_up_bytes", Quantity::Bytes(copied_up.bytes))?;
    take_away(container)
}

fn record_times(report: &DatabaseReport, params: &[(&str, &str)], recorder: &mut dyn Recorder) -> Result<()> {
    let mut put = |phase, time| Cell { params, phase }.put(recorder, "wall", Quantity::Time(time));
    // The first one pays for the copy, where there is one.
    if let Some((first, others)) = report.transactions.split_first() {
        put("first transaction", *first)?;
        others.iter().try_for_each(|time| put("transaction", *time))?;
    }
    put("close", report.close)
}

fn check(case: &Case, report: &DatabaseReport) -> Result<()> {
    let Case { sizes, journal, .. } = case;
    let expect = |what: &str, expected: String, found: String| {
        if expected == found { Ok(()) } else { Err(Error::effect(what, expected, found)) }
    };
    expect("SQLite's integrity check", "ok".to_owned(), report.integrity.clone())?;
    expect("SQLite's journal mode", journal.name().to_owned(), report.journal.clone())?;
    expect("rows in the database", (sizes.rows + sizes.transactions).to_string(), report.rows.to_string())?;
    expect("rows that the transactions added", sizes.transactions.to_string(), report.added.to_string())?;
    expect("transactions that were timed", sizes.transactions.to_string(), report.transactions.len().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_database_that_lost_something_is_no_result() {
        let sizes = Sizes { rows: 10, transactions: 2, writes: 1 };
        let case = Case { origin: Origin::Image, journal: Journal::Wal, sizes };
        let good = DatabaseReport {
            transactions: vec![Duration::ZERO; 2],
            rows: 12,
            added: 2,
            integrity: "ok".to_owned(),
            journal: "wal".to_owned(),
            ..DatabaseReport::default()
        };
        check(&case, &good).unwrap();
        let bad = [
            DatabaseReport { rows: 11, ..good.clone() },
            DatabaseReport { added: 1, ..good.clone() },
            DatabaseReport { integrity: "row 3 missing".to_owned(), ..good.clone() },
            DatabaseReport { journal: "memory".to_owned(), ..good },
        ];
        assert!(bad.iter().all(|report| matches!(check(&case, report), Err(Error::Effect { .. }))));
    }
}
