//! Data on its way to the disk before anybody waits for it: sync_file_range(2).
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Starts to write what is dirty of `length` bytes from `offset` on, and does not wait for it. Nothing is durable by that: it
/// only leaves fsync(2) less to do.
///
/// # Errors
/// EIO, ENOSPC, or ESPIPE for what is neither file, device nor directory.
pub fn start(file: impl AsFd, offset: u64, length: u64) -> io::Result<()> {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the descriptor is borrowed for the call, and there are no pointers.
    let answer =
        unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
