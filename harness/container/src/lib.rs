//! Containers that outlive the command that made them.
//!
//! ```text
//! <containers>/<id>/container.json   the Record: what the container is; written when it is made
//! <containers>/<id>/state.json       the State: how it is doing; written by its supervisor
//! <containers>/<id>/spec.json        the OCI runtime specification of the last start
//! <containers>/<id>/log              what it wrote, a JSON object a line
//! <containers>/<id>/lock             held (flock) by its supervisor: whoever finds it free knows that the container has ended
//! <containers>/<id>/control          the supervisor's socket
//! <containers>/<id>/shm              what is at /dev/shm of a container that shares it, mounted while it runs
//! <containers>/.names/<name>         a symbolic link to the id
//! ```
//!
//! There is no daemon. A container that runs has one supervisor: a small process of its own, or the command in the foreground.
//! It keeps the layer mounted ([`StorageDriver::hold`](storage_driver::StorageDriver::hold)), which leaves the driver's root
//! free for others, runs the container, writes its log, restarts it by its policy, checks its health, and answers on its socket.
//! Everything else is on disk, and as good after a reboot. Records need only be whole or absent after a crash, so nothing here
//! waits for the disk but what says so.
#![deny(missing_docs)]

mod client;
mod configuration;
mod control;
mod error;
mod front;
mod health;
mod launch;
mod log;
mod network;
mod record;
mod restart;
mod share;
mod shm;
mod store;
mod streams;
mod supervisor;
mod users;
mod volumes;

pub use client::{Attached, Client, Frozen, Input};
pub use configuration::{
    Configuration, Device, Ipc, LogOptions, Mount, MountSource, Network, Propagation, Resources, Seccomp, Share,
    Throttle,
};
pub use control::{Answer, Request};
pub use error::{Error, Result};
pub use front::Raw;
pub use harness_runtime::signal;
pub use health::{Health, HealthStatus, Probe};
pub use launch::limits_of;
pub use log::{Line, LogFilter, follow, read as read_log};
pub use record::{Phase, Record, State, Status};
pub use restart::RestartPolicy;
pub use store::{Containers, Held};
pub use streams::{Ahead, Front, Meant};
pub use supervisor::{Host, Supervisor, remove};
pub use volumes::{Volume, Volumes};
