//! Containers: docker's commands on them, one file each.

mod attach;
pub mod commit;
pub mod cp;
pub mod create;
mod detach_keys;
pub mod diff;
mod environment;
pub mod exec;
pub mod export;
mod health;
pub mod inspect;
pub mod kill;
pub mod logs;
mod mounts;
mod options;
pub mod pause;
pub mod port;
pub mod ps;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod run;
pub mod size;
pub mod start;
pub mod stats;
pub mod stop;
pub mod supervise;
pub mod top;
pub mod update;
pub mod volume;
pub mod wait;

pub use attach::AttachArgs;
pub use attach::run as attach;
pub use health::nanoseconds;
pub use options::ulimit;

use crate::{
    commands::print,
    failure::{Failure, Result},
    say,
};

/// Does the same with each of several things and prints its name, as docker does: one failure does not keep it from the others.
fn each(names: &[String], mut act: impl FnMut(&str) -> Result) -> Result {
    let mut failed = None;
    for name in names {
        match act(name) {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(failure) => {
                // The last one is said by who called this.
                if let Some(earlier) = failed.replace(failure) {
                    say(&Failure::to_string(&earlier));
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
