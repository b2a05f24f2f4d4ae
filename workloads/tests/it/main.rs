//! Every workload that works on a driver itself, run once, small, on real drivers; and that each notices when what it
//! measures does not happen.

mod engine;
mod lies;
mod lying;
mod room;
mod whole;
