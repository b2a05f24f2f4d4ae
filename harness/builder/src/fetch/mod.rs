//! What comes from elsewhere: files by HTTP, trees of git repositories.

mod address;
mod date;
mod downloads;
pub mod git;
pub mod http;

pub use self::{address::Address, downloads::Downloads};
