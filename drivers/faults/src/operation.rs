//! What an operation is, and what may have become of layers after a fault in it.

use storage_driver::{Error, Labels, LayerId, LayerState, Result, StorageDriver};
use storage_layer::Manifest;

use crate::content::Oracle;

/// One operation of the matrix.
///
/// `prepare` brings an empty root to where the operation starts, `act` does it, and the `Fate`s say what may be of
/// the layers that it touches; every other layer must be as it was.
#[derive(Debug)]
pub struct Operation {
    /// As people choose it.
    pub name: &'static str,
    /// In one line.
    pub about: &'static str,
    /// What `act` is done with.
    pub(crate) start: Start,
    pub(crate) prepare: fn(&dyn StorageDriver, &Oracle) -> Result<()>,
    pub(crate) act: fn(&dyn StorageDriver, &Oracle) -> Result<()>,
    /// After a failure: back to where `act` can be tried again.
    pub(crate) back: fn(&dyn StorageDriver, &Oracle) -> Result<()>,
    pub(crate) fates: &'static [Fate],
    /// Whether only drivers that limit a layer's size can do it.
    pub(crate) limits: bool,
    /// The layer whose labels it changes, from the old ones to the new.
    pub(crate) relabels: Option<&'static str>,
}

/// Whether opening the driver is part of what is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// `act` begins when the driver is open.
    Open,
    /// Opening is the operation; `act` only follows.
    Closed,
    /// The same, after a process that was killed at work.
    Crashed,
}

/// What may be of one layer that an operation touches.
#[derive(Debug)]
pub(crate) struct Fate {
    pub id: &'static str,
    /// After a crash at any moment.
    pub crashed: &'static [Shape],
    /// After the operation has failed.
    pub failed: &'static [Shape],
    /// After it has succeeded.
    pub done: &'static [Shape],
    pub content: Content,
    /// Whether `done` outlives a power loss once the operation has returned.
    pub durable: bool,
}

/// A layer's state, or its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Absent,
    Writable,
    Sealed,
}

/// What the layer's tree must be, where the layer is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// As before the operation, to the byte.
    Kept,
    /// This, but for times; before the operation has succeeded anything that can be read, as long as it is writable.
    Becomes(fn(&Oracle) -> &Manifest),
    /// This at all times, but for times.
    Is(fn(&Oracle) -> &Manifest),
}

impl Shape {
    pub(crate) fn of(state: Option<LayerState>) -> Self {
        match state {
            None => Self::Absent,
            Some(LayerState::Writable) => Self::Writable,
            Some(LayerState::Sealed) => Self::Sealed,
        }
    }
}

/// Which of a [`Fate`]'s states is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The process was killed.
    Crashed,
    /// It has failed.
    Failed,
    /// It has succeeded.
    Done,
    /// The power went while it was under way.
    Unpowered,
    /// The power went when it had succeeded.
    DoneUnpowered,
}

impl Due {
    /// Whether what was never made durable may be gone.
    pub(crate) const fn is_without_power(self) -> bool {
        matches!(self, Self::Unpowered | Self::DoneUnpowered)
    }
}

impl Fate {
    /// What the layer may be; `sealed` when it was sealed before, and so must not be lost.
    pub(crate) fn shapes(&self, due: Due, sealed: bool) -> Vec<Shape> {
        let with = |shapes: &[Shape], more: &[Shape]| [shapes, more].concat();
        match due {
            Due::Crashed => self.crashed.to_vec(),
            Due::Failed => self.failed.to_vec(),
            Due::Done => self.done.to_vec(),
            Due::DoneUnpowered if self.durable => self.done.to_vec(),
            Due::DoneUnpowered => with(self.done, &[Shape::Absent, Shape::Writable]),
            Due::Unpowered if sealed => self.crashed.to_vec(),
            Due::Unpowered => with(self.crashed, &[Shape::Absent]),
        }
    }
}

/// An id of this crate's own, which is always one.
pub(crate) fn id(name: &'static str) -> Result<LayerId> {
    LayerId::new(name)
}

/// Labels that tell which of two sets they are.
pub(crate) fn labels(which: &str) -> Labels {
    Labels::from([("faults".to_owned(), which.to_owned()), ("long".to_owned(), which.repeat(40))])
}

/// Removes a layer if it is there.
pub(crate) fn remove_if_there(driver: &dyn StorageDriver, name: &'static str) -> Result<()> {
    match driver.remove(&id(name)?) {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}
