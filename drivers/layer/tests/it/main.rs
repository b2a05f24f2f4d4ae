//! Layers there and back, through the public interface only.

mod changes;
mod copying;
mod hostile;
mod interop;
mod overlay_apply;
mod overlay_equals_walk;
mod property;
mod round_trip;
mod tar_maker;
mod tree_maker;
mod whiteouts;
