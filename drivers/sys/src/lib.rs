//! The kernel's edge: mounts, loop devices, quotas, user namespaces and what else needs a system call of its own.
//!
//! All `unsafe` of the workspace is here and in the runtime's exec module; each module that has some opts in.

#![deny(missing_docs)]

pub mod block;
pub mod boot;
pub mod btrfs;
pub mod child;
pub mod dm;
pub mod extents;
pub mod fork;
pub mod fsroom;
pub mod loopdev;
pub mod mmap;
pub mod mount;
pub mod mountinfo;
pub mod quota;
pub mod statfs;
pub mod syscalls;
pub mod trace;
pub mod userns;
pub mod writeout;
pub mod xattrat;
