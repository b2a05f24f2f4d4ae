//! The image crate against real directories and other tools.

mod cache;
mod collect;
mod concurrency;
mod damage;
mod naming;
mod support;
