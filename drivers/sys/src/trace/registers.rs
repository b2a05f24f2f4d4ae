//! A stopped system call in the registers: what it is, and how it is changed.
#![allow(unsafe_code)]

use nix::{
    Result,
    sys::ptrace::{getregs, setregs},
    unistd::Pid,
};

/// A system call that has not begun.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    pub number: i64,
    pub arguments: [u64; 6],
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use super::*;

    pub fn read(thread: Pid) -> Result<Stopped> {
        let r = getregs(thread)?;
        Ok(Stopped { number: r.orig_rax.cast_signed(), arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] })
    }

    /// A number of -1 is no call, and the kernel leaves the answer that is in the register (seccomp(2), SECCOMP_RET_TRACE).
    pub fn refuse(thread: Pid, errno: i32) -> Result<()> {
        let mut registers = getregs(thread)?;
        registers.orig_rax = u64::MAX;
        registers.rax = i64::from(-errno).cast_unsigned();
        setregs(thread, registers)
    }

    pub fn set_argument(thread: Pid, index: usize, value: u64) -> Result<()> {
        let mut r = getregs(thread)?;
        let places = [&mut r.rdi, &mut r.rsi, &mut r.rdx, &mut r.r10, &mut r.r8, &mut r.r9];
        if let Some(place) = places.into_iter().nth(index) {
            *place = value;
        }
        setregs(thread, r)
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use super::*;

    /// The register set that holds the number of the call (linux/elf.h).
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    pub fn read(thread: Pid) -> Result<Stopped> {
        let r = getregs(thread)?.regs;
        Ok(Stopped { number: r[8].cast_signed(), arguments: [r[0], r[1], r[2], r[3], r[4], r[5]] })
    }

    pub fn refuse(thread: Pid, errno: i32) -> Result<()> {
        let mut registers = getregs(thread)?;
        registers.regs[0] = i64::from(-errno).cast_unsigned();
        setregs(thread, registers)?;
        let mut none: i32 = -1;
        let mut part = libc::iovec { iov_base: (&raw mut none).cast(), iov_len: size_of::<i32>() };
        // SAFETY: PTRACE_SETREGSET reads the one iovec, which describes `none`; both outlive the call.
        let answer =
            unsafe { libc::ptrace(libc::PTRACE_SETREGSET, thread.as_raw(), NT_ARM_SYSTEM_CALL, &raw mut part) };
        nix::errno::Errno::result(answer).map(drop)
    }

    pub fn set_argument(thread: Pid, index: usize, value: u64) -> Result<()> {
        let mut registers = getregs(thread)?;
        registers.regs[index] = value;
        setregs(thread, registers)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("tracing knows the registers of x86-64 and aarch64 only; add this architecture to registers.rs");

pub use arch::{read, refuse, set_argument};
