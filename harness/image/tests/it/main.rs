//! The image crate against real directories, a driver, and other tools.

mod base_app;
mod base_host;
mod base_import;
mod base_synthetic;
mod cache;
mod collect;
mod concurrency;
mod damage;
mod layers;
mod naming;
mod other_tools;
mod received;
mod support;
