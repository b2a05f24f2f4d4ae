//! The one place with `unsafe`: creating the init process, and the system calls that no safe wrapper covers.
//!
//! Two kinds of code live here. [`spawn()`] runs in the (multi-threaded) parent and, for a few instructions, in the
//! child that shares its memory; that part obeys the rules of signal handlers (signal-safety(7)). Everything in
//! [`calls`] is a thin, safe wrapper about one system call, used by the single-threaded init.
#![allow(unsafe_code)]

mod calls;
mod spawn;
mod users;

pub(crate) use calls::{
    SeccompFlags, add_seccomp_filter, adopt, block_signals, bring_up_loopback, cap_last, close_from,
    close_on_exec_from, fork, kill, map_owners, mount_set_attributes, namespace_kind, pidfd_signal, reset_signals,
    set_io_priority, set_personality, setsid_and_take_terminal, unshare_cgroup_namespace,
};
pub(crate) use spawn::{INIT_MARKER, Program, Spawned, Surroundings, open_own_program, spawn};
pub(crate) use users::{Maps, namespace as user_namespace};
