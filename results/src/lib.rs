//! The record of a run: what was measured, on what, and what it comes to.
//!
//! A run directory holds `run.json` ([`RunRecord`]), `samples.csv` ([`Sample`]), `summary.csv` ([`Summary`]) and
//! `charts/`. The samples are written as they happen, so a run that is interrupted keeps what it measured; everything
//! else is made from them alone.

#![deny(missing_docs)]

pub mod charts;
pub mod compare;
mod derived;
mod error;
mod growth;
mod host;
mod merge;
mod rates;
mod record;
mod recorded;
pub mod report;
mod run_dir;
mod sample;
mod statistics;
mod summary;
mod table;
mod time;

pub use derived::derive;
pub use error::{Error, Result};
pub use host::Fingerprint;
pub use merge::merge;
pub use record::{DriverRecord, RunRecord};
pub use recorded::Recorded;
pub use run_dir::{RunDir, SampleWriter, read_samples};
pub use sample::{Kind, Params, SCHEMA, Sample, Unit};
pub use statistics::{Estimate, estimate, mad, median, outliers};
pub use summary::{Summary, summarise};
pub use table::summary_table;
pub use time::{compact, rfc3339};
