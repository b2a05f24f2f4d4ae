//! Moving bytes between a container's streams and others, without one stream blocking another.

use std::{
    fs::File,
    io::{self, Read},
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::Stream;

/// Reads all of `open` as data comes, until each is at its end.
///
/// # Errors
/// Reading failed.
pub fn drain(mut open: Vec<(Stream, File)>, sink: &mut dyn FnMut(Stream, &[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while !open.is_empty() {
        let ready = readable(&open)?;
        let mut ended = Vec::new();
        for index in ready {
            let (stream, file) = &mut open[index];
            match file.read(&mut buffer) {
                Ok(0) => ended.push(index),
                Ok(n) => sink(*stream, &buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        for index in ended.into_iter().rev() {
            open.remove(index);
        }
    }
    Ok(())
}

/// Indexes of those that can be read without blocking, waiting for the first.
fn readable(open: &[(Stream, File)]) -> io::Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> = open.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)).collect();
    rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
    let ready = polled.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.map(|(index, _)| index).collect())
}
