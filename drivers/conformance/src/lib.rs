//! The conformance suite: what every storage driver must get right, whatever it is made of.
//!
//! A [`Case`] takes a driver on a fresh root and says what must hold. Most change a tree by a list of [`Op`]s, which
//! are done to the layer and to a plain directory, the oracle; both must give the same answers and look the same in
//! everything a [`Manifest`](storage_layer::Manifest) sees. Layers are then exported and laid over a sibling, and over
//! the same chain on another driver, and must look the same there ([`Stack`]).
//!
//! Known differences are data ([`Deviation`](storage_driver::Deviation)) and are checked both ways: a driver that
//! declares one must show it, and one that does not must not.
//!
//! [`property::run`] does the same with random operations, against the model in memory.
//!
//! To examine another driver, implement [`Subject`] and call [`run()`].

#![deny(missing_docs)]

mod case;
pub mod cases;
mod context;
pub mod equality;
mod expectation;
mod filter;
mod holes;
pub mod keeps;
mod leaks;
mod link;
pub mod op;
mod pair;
pub mod property;
mod ram;
mod report;
mod run;
mod stack;
mod subject;
mod verdict;

pub use case::{Case, Need};
pub use cases::cases;
pub use context::{Context, id};
pub use filter::Filter;
pub use op::{Data, Op};
pub use pair::{Clock, Origins, Pair};
pub use report::{Counts, Report};
pub use run::{CaseReport, Outcome, run, run_case};
pub use stack::Stack;
pub use subject::{Opener, Subject, memory};
pub use verdict::{During, Stop, Verdict};
