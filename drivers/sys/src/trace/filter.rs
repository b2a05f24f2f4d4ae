//! The seccomp program that stops a traced process at the calls of the table, and at no other.
#![allow(unsafe_code)]

use std::io;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};

use super::{
    MARK,
    calls::{CHANGING_OPEN_FLAGS, Known, known},
};

/// AUDIT_ARCH_* (linux/audit.h) of the architectures that registers are known for.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// Offsets in struct seccomp_data (linux/seccomp.h); both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

fn load(offset: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Goes on with the next instruction when the comparison holds, else `skip` further.
fn unless_skip(comparison: u32, value: u32, skip: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | comparison | BPF_K) as u16, jt: 0, jf: skip, k: value }
}

fn answer(action: u32) -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: action }
}

fn program() -> Vec<sock_filter> {
    let (allow, trace) = (answer(libc::SECCOMP_RET_ALLOW), answer(libc::SECCOMP_RET_TRACE));
    let other_architecture = sock_filter { jt: 1, jf: 0, ..unless_skip(BPF_JEQ, ARCHITECTURE, 0) };
    let mut program = vec![load(ARCH), other_architecture, allow, load(NUMBER)];
    program.extend([unless_skip(BPF_JEQ, MARK, 1), trace]);
    for Known { number, open_flags, .. } in known() {
        let number = *number as u32;
        match open_flags {
            None => program.extend([unless_skip(BPF_JEQ, number, 1), trace]),
            Some(argument) => program.extend([
                unless_skip(BPF_JEQ, number, 4),
                load(ARGUMENTS + 8 * *argument as u32),
                unless_skip(BPF_JSET, CHANGING_OPEN_FLAGS, 1),
                trace,
                allow,
            ]),
        }
    }
    program.push(allow);
    program
}

/// Puts the filter on this process and all it will start; it cannot be taken off again.
pub fn install() -> io::Result<()> {
    let mut program = program();
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: SECCOMP_SET_MODE_FILTER reads one `struct sock_fprog` and the program that it points to, both alive here.
    let set = || unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if set() == 0 {
        return Ok(());
    }
    // Without CAP_SYS_ADMIN a filter is only for those who cannot gain privileges any more (seccomp(2)).
    nix::sys::prctl::set_no_new_privs()?;
    if set() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
