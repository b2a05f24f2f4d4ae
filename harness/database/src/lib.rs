//! SQLite at work on one file: random rows rewritten in transactions that are each durable before the next.
//!
//! The engine is SQLite's own, compiled in. The work is described as text and so is its report, so that it can be
//! given to a process in a container: [`work_if_asked`] is that process's program.

#![deny(missing_docs)]

mod error;
mod role;
mod rows;
mod work;

pub use error::{Error, Result};
pub use role::{ROLE, report, request, work_if_asked};
pub use work::{Report, Work, make, work};
