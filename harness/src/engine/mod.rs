//! The engine behind the commands and behind the workloads' port: images, layers and containers on one driver.

pub mod bases;
pub mod bench;
pub mod containers;
mod processor;
pub mod session;

pub use session::Session;
