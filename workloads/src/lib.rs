//! What is measured: each workload once, for every driver.
//!
//! A workload knows no driver by name and nothing of the harness. It works through the port [`Engine`], which builds
//! and runs images on one driver and counts what the driver's device did, and hands its numbers to a [`Recorder`].
//! Each asserts its own effect: what it claims to have measured happened, or the round fails.

#![deny(missing_docs)]

mod apply;
mod build;
mod cases;
mod churn;
mod commit;
mod containers;
mod content;
mod copyup;
mod database;
mod delete;
mod density;
mod diff;
mod empty;
mod engine;
mod error;
mod ids;
mod large;
mod layers;
mod lifecycle;
mod measure;
mod metadata;
mod own_layers;
mod params;
mod read;
mod room;
mod runner;
mod slope;
mod snapshotter;
mod tars;
mod tree;
mod walk;
mod workload;

pub use build::{build_dockerfile, step_label, write_ten_steps};
pub use containers::{
    Container, Containers, DatabaseReport, DatabaseWork, ExecReport, Holdings, Journal, SharedContainers,
};
pub use engine::{
    BuildOptions, BuildReport, BuildSpec, DeviceCounters, Engine, LayerReport, Processor, RunReport, RunSpec,
    StepReport, StepTimes,
};
pub use error::{Error, Result};
pub use params::{Param, Params};
pub use room::{Room, Space, check_room};
pub use runner::{Order, Plan, Progress, Round, run};
pub use workload::{Measurement, Quantity, Recorder, Scratch, Workload};

/// All workloads.
#[must_use]
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(build::Build::default()),
        Box::new(copyup::CopyUp),
        Box::new(metadata::Metadata),
        Box::new(read::Read),
        Box::new(lifecycle::Lifecycle),
        Box::new(density::Density),
        Box::new(layers::Layers),
        Box::new(diff::Diff),
        Box::new(commit::Commit),
        Box::new(apply::Apply),
        Box::new(delete::Delete),
        Box::new(churn::Churn),
        Box::new(database::Database),
        Box::new(snapshotter::Snapshotter),
        Box::new(empty::Empty),
    ]
}
