//! Between the workloads' words for databases and those of who works on them.

use workloads::{DatabaseReport, DatabaseWork};

/// The work as the process in the container gets it.
pub fn work(work: &DatabaseWork) -> harness_database::Work {
    harness_database::Work {
        file: work.file.clone().into(),
        journal: work.journal.name().to_owned(),
        fill: work.fill,
        transactions: work.transactions,
        seed: work.seed,
    }
}

/// What it answered.
pub fn report(report: harness_database::Report) -> DatabaseReport {
    let harness_database::Report { version, fill, transactions, close, rows, added, integrity, journal } = report;
    DatabaseReport { version, fill, transactions, close, rows, added, integrity, journal }
}
