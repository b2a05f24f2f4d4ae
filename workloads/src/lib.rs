//! What is measured: each workload once, for every driver.
//!
//! A workload knows no driver by name and nothing of the harness. It works through the port [`Engine`], which builds
//! and runs images on one driver and counts what the driver's device did, and hands its numbers to a [`Recorder`].
//! Each asserts its own effect: what it claims to have measured happened, or the round fails.

#![deny(missing_docs)]

mod build;
mod churn;
mod containers;
mod content;
mod copyup;
mod database;
mod density;
mod empty;
mod engine;
mod error;
mod ids;
mod lifecycle;
mod measure;
mod own_layers;
mod params;
mod runner;
mod slope;
mod tree;
mod workload;

pub use containers::{
    Container, Containers, DatabaseReport, DatabaseWork, ExecReport, Holdings, Journal, SharedContainers,
};
pub use engine::{
    BuildReport, BuildSpec, DeviceCounters, Engine, LayerReport, Processor, RunReport, RunSpec, StepReport, StepTimes,
};
pub use error::{Error, Result};
pub use params::{Param, Params};
pub use runner::{Order, Plan, Progress, Round, run};
pub use workload::{Measurement, Quantity, Recorder, Scratch, Workload};

/// All workloads.
#[must_use]
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(build::Build),
        Box::new(copyup::CopyUp),
        Box::new(lifecycle::Lifecycle),
        Box::new(density::Density),
        Box::new(churn::Churn),
        Box::new(database::Database),
        Box::new(empty::Empty),
    ]
}
