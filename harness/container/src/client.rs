//! Asking a container's supervisor.

use std::{
    io::{self, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
};

use harness_runtime::Stream;

use crate::{
    Answer, Containers, Error, Request, Result,
    control::{self, Frame, SOCKET},
};

/// A connection to a container's supervisor, good for one question.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

impl Client {
    /// Connects; `None` when nobody looks after the container.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect(containers: &Containers, id: &str) -> Result<Option<Self>> {
        let dir = containers.dir(id);
        let path = dir.join(SOCKET);
        match control::with_socket(&dir, |socket| UnixStream::connect(socket)) {
            Ok(stream) => Ok(Some(Self { stream, path })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(Error::io("connect to", path)(error)),
        }
    }

    /// Asks, and waits for the answer; `None` when the supervisor ended before it gave one.
    ///
    /// # Errors
    /// [`Error::Supervisor`] for what it refuses.
    pub fn ask(self, request: &Request) -> Result<Option<Answer>> {
        self.asked(request)
    }

    /// Has the container's processes frozen until the value goes, or this process; `None` when the supervisor ended before.
    ///
    /// # Errors
    /// [`Error::Supervisor`] for a container that cannot be frozen.
    pub fn freeze(self) -> Result<Option<Frozen>> {
        Ok(self.asked(&Request::Freeze)?.map(|_| Frozen(self.stream)))
    }

    fn asked(&self, request: &Request) -> Result<Option<Answer>> {
        match control::send(&self.stream, request) {
            // It ended between the connection and the question.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
            sent => sent.map_err(Error::io("write to", &self.path))?,
        }
        match control::receive(&mut BufReader::new(&self.stream)) {
            Ok(answer) => answer.map(taken).transpose(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(Error::io("read from", &self.path)(error)),
        }
    }

    /// Connects to the container's streams.
    ///
    /// # Errors
    /// [`Error::Supervisor`] for what it refuses.
    pub fn attach(self, stdin: bool) -> Result<Attached> {
        control::send(&self.stream, &Request::Attach { stdin }).map_err(Error::io("write to", &self.path))?;
        let mut reader = BufReader::new(self.stream);
        let answer = control::receive::<Answer>(&mut reader).map_err(Error::io("read from", &self.path))?;
        answer.map(taken).transpose()?;
        Ok(Attached { reader, path: self.path })
    }
}

fn taken(answer: Answer) -> Result<Answer> {
    match answer.error {
        Some(why) => Err(Error::Supervisor { why }),
        None => Ok(answer),
    }
}

/// A container's processes, which are frozen.
#[derive(Debug)]
pub struct Frozen(UnixStream);

impl Drop for Frozen {
    /// Waits until they go on, or whoever looks after them has gone.
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.0.read(&mut [0]);
    }
}

/// A container's streams.
#[derive(Debug)]
pub struct Attached {
    reader: BufReader<UnixStream>,
    path: PathBuf,
}

impl Attached {
    /// Those of a container whose supervisor has the other end of `stream` from its start ([`Front::Client`](crate::Front)).
    #[must_use]
    pub fn from_the_start(stream: UnixStream) -> Self {
        Self { reader: BufReader::new(stream), path: SOCKET.into() }
    }

    /// The way to the container's standard input.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn input(&self) -> Result<Input> {
        Ok(Input(self.reader.get_ref().try_clone().map_err(Error::io("copy", &self.path))?))
    }

    /// Passes on what the container writes until it ends, and returns its exit status; `None` where the connection ended before.
    ///
    /// # Errors
    /// The connection broke, or what `sink` says.
    pub fn output(mut self, sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>) -> Result<Option<i32>> {
        let mut buffer = Vec::new();
        let mut pass = || -> io::Result<Option<i32>> {
            loop {
                match control::receive_frame(&mut self.reader, &mut buffer)? {
                    Some(Frame::Output(stream)) => sink(stream, &buffer)?,
                    Some(Frame::Ended(status)) => return Ok(Some(status)),
                    None => return Ok(None),
                }
            }
        };
        pass().map_err(Error::io("read from", &self.path))
    }
}

/// The way to a container's standard input; the input ends when it is dropped.
#[derive(Debug)]
pub struct Input(UnixStream);

impl Input {
    /// Ends the connection, which ends [`Attached::output`] as well; the container goes on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn leave(self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// `wait` failed now and then where the container was quick.
    #[test]
    fn a_supervisor_that_ends_before_it_is_asked_gives_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let listener = UnixListener::bind(&path).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(Client { stream, path }.ask(&Request::Wait).unwrap().is_none());
    }
}
