//! What comes from elsewhere: files by HTTP, trees of git repositories.

mod address;
mod credentials;
mod date;
mod downloads;
pub mod git;
pub mod http;
mod repository;

pub use self::{
    address::{Address, without_user},
    credentials::Secrets,
    downloads::Downloads,
    http::fetch_file,
    repository::Repository,
};
