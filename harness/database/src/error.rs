use std::path::PathBuf;

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a database was not worked on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SQLite refused.
    #[error("cannot {op} the database {}: {source}", .file.display())]
    Sqlite {
        /// What was tried.
        op: &'static str,
        /// The database.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The process in the container did not answer as it should.
    #[error("the process that works on the database ended with status {status}: {said}")]
    Process {
        /// As a shell sees it.
        status: i32,
        /// What it wrote.
        said: String,
    },
}

impl Error {
    pub(crate) fn sqlite(op: &'static str, file: impl Into<PathBuf>) -> impl FnOnce(rusqlite::Error) -> Self {
        let file = file.into();
        move |source| Self::Sqlite { op, file, source }
    }
}
