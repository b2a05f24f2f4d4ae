//! Mistakes to try a regression gate out with.
//!
//! A gate that never fails is worth nothing, and one learns of it too late. Each [`Mistake`] makes a driver dearer in one way that
//! has been seen in practice, from outside: drivers know nothing of it.

#![deny(missing_docs)]

mod mistake;
mod spoiled;

pub use mistake::{Mistake, Unsuitable};
pub use spoiled::Spoiled;
