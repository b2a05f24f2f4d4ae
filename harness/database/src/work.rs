use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, rows::Random};

/// Rows that a transaction rewrites, far apart.
const ROWS_A_TRANSACTION: u64 = 4;

/// What to do to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The database; made when it is missing.
    pub file: PathBuf,
    /// `wal` or `delete`, as of `PRAGMA journal_mode`.
    pub journal: String,
    /// Rows to fill it with first, when it is new.
    pub fill: u64,
    /// Transactions; each rewrites a few random rows and adds one.
    pub transactions: u64,
    /// Decides which rows, and what is in them.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of SQLite.
    pub version: String,
    /// Filling it.
    pub fill: Duration,
    /// Each transaction, from its begin until it is durable.
    pub transactions: Vec<Duration>,
    /// Checkpoint and close.
    pub close: Duration,
    /// Rows that are in it.
    pub rows: u64,
    /// Rows that this work has added.
    pub added: u64,
    /// What `PRAGMA integrity_check` says.
    pub integrity: String,
    /// The journal mode that was in force.
    pub journal: String,
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY, version INTEGER NOT NULL, content BLOB NOT NULL)";

/// Makes a database of `rows` rows: the same file for the same seed.
///
/// # Errors
/// What SQLite says.
pub fn make(file: &Path, rows: u64, seed: u64) -> Result<()> {
    let mut connection = Connection::open(file).map_err(Error::sqlite("make", file))?;
    let made = (|| {
        connection.pragma_update(None, "page_size", 4096)?;
        // Nobody needs it before it is whole.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(SCHEMA)?;
        fill(&mut connection, rows, seed)
    })();
    made.map_err(Error::sqlite("fill", file))?;
    connection.close().map_err(|(_, error)| Error::sqlite("close", file)(error))
}

fn fill(connection: &mut Connection, rows: u64, seed: u64) -> rusqlite::Result<()> {
    let mut random = Random::new(seed);
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO item (version, content) VALUES (0, ?1)")?;
        for _ in 0..rows {
            insert.execute([random.content()])?;
        }
    }
    transaction.commit()
}

/// Does the work, and looks whether the database is whole after it.
///
/// Every commit waits for the disk (`synchronous=FULL`): with a rollback journal for the journal, the database and the
/// directory, with a write-ahead log for the log, and for the database at a checkpoint.
///
/// # Errors
/// What SQLite says.
pub fn work(work: &Work) -> Result<Report> {
    let failed = |op| Error::sqlite(op, &work.file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&work.file, flags).map_err(failed("open"))?;
    let mut report = Report { version: rusqlite::version().to_owned(), ..Report::default() };
    let started = Instant::now();
    set_up(&mut connection, work, &mut report).map_err(failed("set up"))?;
    report.fill = started.elapsed();
    let mut random = Random::new(work.seed.wrapping_add(1));
    for number in 0..work.transactions {
        let started = Instant::now();
        transact(&mut connection, &mut random, number + 1).map_err(failed("write to"))?;
        report.transactions.push(started.elapsed());
    }
    let started = Instant::now();
    connection.close().map_err(|(_, error)| failed("close")(error))?;
    report.close = started.elapsed();
    examine(work, &mut report).map_err(failed("examine"))?;
    Ok(report)
}

fn set_up(connection: &mut Connection, work: &Work, report: &mut Report) -> rusqlite::Result<()> {
    let mode = "journal_mode";
    report.journal = connection.pragma_update_and_check(None, mode, &work.journal, |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(SCHEMA)?;
    if work.fill > 0 && count(connection, "SELECT count(*) FROM item")? == 0 {
        fill(connection, work.fill, work.seed)?;
    }
    Ok(())
}

/// Rewrites a few rows that are far apart, and adds one with the transaction's number.
fn transact(connection: &mut Connection, random: &mut Random, number: u64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let last = count(&transaction, "SELECT coalesce(max(id), 0) FROM item")?;
        let mut update = transaction.prepare_cached("UPDATE item SET content = ?2 WHERE id = ?1")?;
        for _ in 0..ROWS_A_TRANSACTION.min(last) {
            update.execute((1 + random.below(last), random.content()))?;
        }
        let mut insert = transaction.prepare_cached("INSERT INTO item (version, content) VALUES (?1, ?2)")?;
        insert.execute((number, random.content()))?;
    }
    transaction.commit()
}

/// By a connection of its own, which knows only what is in the file.
fn examine(work: &Work, report: &mut Report) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(&work.file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    report.integrity = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    report.rows = count(&connection, "SELECT count(*) FROM item")?;
    report.added = count(&connection, "SELECT count(*) FROM item WHERE version > 0")?;
    connection.close().map_err(|(_, error)| error)
}

fn count(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    connection.query_row(query, (), |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(file: PathBuf, journal: &str) -> Work {
        Work { file, journal: journal.to_owned(), fill: 300, transactions: 20, seed: 7 }
    }

    #[test]
    fn every_transaction_is_in_the_file() {
        for journal in ["wal", "delete"] {
            let dir = tempfile::tempdir().unwrap();
            let report = work(&job(dir.path().join("db"), journal)).unwrap();
            assert_eq!((report.rows, report.added, report.integrity.as_str()), (320, 20, "ok"));
            assert_eq!((report.journal.as_str(), report.transactions.len()), (journal, 20));
            assert!(report.version.starts_with("3."));
            let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["db"], "the journal is gone");
        }
    }

    #[test]
    fn a_database_that_is_there_is_not_filled_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db");
        make(&file, 500, 1).unwrap();
        let report = work(&job(file, "wal")).unwrap();
        assert_eq!((report.rows, report.added), (520, 20));
    }

    #[test]
    fn the_same_seed_makes_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["a", "b", "c"].map(|name| dir.path().join(name));
        for (file, seed) in files.iter().zip([1, 1, 2]) {
            make(file, 100, seed).unwrap();
        }
        let [a, b, c] = files.map(|file| std::fs::read(file).unwrap());
        assert!(a == b && a != c);
        assert!(a.len() > 100 * crate::rows::SIZE);
    }

    #[test]
    fn what_is_no_database_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db");
        std::fs::write(&file, "this is no database, and long enough to be taken for one".repeat(100)).unwrap();
        let error = work(&job(file, "wal")).unwrap_err().to_string();
        assert!(error.contains("not a database"), "{error}");
    }
}
