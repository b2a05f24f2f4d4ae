//! The engine behind the commands and behind the workloads' port: images, layers and containers on one driver.

pub mod bases;
pub mod bench;
pub mod containers;
mod database;
mod holdings;
mod long_lived;
mod mapping;
pub mod processor;
pub mod session;
mod space;

pub use session::Session;
