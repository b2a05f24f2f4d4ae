//! Layers there and back, through the public interface only.

mod round_trip;
mod tree_maker;
