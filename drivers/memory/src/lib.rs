//! The model: a driver that keeps its layers in memory
