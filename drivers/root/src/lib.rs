//! What every driver with a root directory keeps on disk in the same way.
//!
//! ```text
//! <root>/lock            held (flock) by the one process that has the root open; names it
//! <root>/format.json     driver and format version
//! <root>/layers/<id>/    one directory a layer: layer.json, and whatever the driver keeps
//! <root>/staging/<id>/   a layer being made
//! <root>/trash/<n>/      a layer being removed
//! <root>/rest.json       absent while the root is open and after a crash: the last one to close it left everything in order
//! <root>/held/<id>       a mounted layer whose mount outlives the driver; locked (flock) by the process that holds it
//! ```
//!
//! A layer appears by one rename from `staging/` into `layers/`, its record inside it, and disappears by one
//! rename into `trash/`; so it is whole or absent at every moment. Opening the root empties both and detaches
//! mounts that a killed process had left below it; those that a living process holds stay. A root at rest has nothing of the
//! kind, and its layers are read when they are asked for: what a container costs does not grow with the number of others.
//!
//! Durable order: making a layer syncs nothing (starting a container must not wait for the disk); sealing
//! first makes the driver's data durable, then the record that says so, then the directories that lead to it. Layers that are
//! [sealed later](Root::seal_later) say on disk that they are writable until they [settle](Root::settle) together.

#![deny(missing_docs)]

mod atomic;
mod delete;
mod glance;
mod hold;
mod lock;
mod mounts;
mod open;
mod record;
mod rest;
mod root;
mod settle;
mod table;
mod unread;

pub use atomic::{write_atomically, write_volatile};
pub use delete::delete_tree;
pub use glance::glance;
pub use record::{Durability, Record};
pub use root::Root;
