//! What is said on a container's socket: a JSON object a line, one question a connection.
//!
//! After the answer to [`Request::Attach`] the connection carries what the container writes, in frames of a byte for the stream
//! (1 or 2), a big-endian length of four bytes, and the bytes; the other way go the bytes for its standard input as they are.
//! The last frame, of kind 3, has the container's exit status, four bytes.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
};

use harness_runtime::Stream;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) const SOCKET: &str = "control";

/// The longest line; a question or an answer is a few words.
const LONGEST: u64 = 64 << 10;
/// The longest frame, above which something else is being said.
const LONGEST_FRAME: usize = 1 << 20;

/// What a supervisor is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    /// Send this signal to the container's process 1.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// End the container, and answer when it has ended. It is not started again by its policy.
    Stop {
        /// The signal that asks it to; the container's own by default.
        signal: Option<i32>,
        /// How many seconds it has until SIGKILL; the container's own by default.
        timeout: Option<u64>,
    },
    /// Freeze its processes.
    Pause,
    /// Let them go on.
    Resume,
    /// Freeze its processes until whoever asks hangs up, however that one ends.
    Freeze,
    /// Answer when it has ended and is not started again.
    Wait,
    /// Carry its streams.
    Attach {
        /// Whether its standard input, too.
        stdin: bool,
    },
    /// Give its terminal a size.
    Resize {
        /// In lines.
        rows: u16,
        /// In characters.
        cols: u16,
    },
}

/// What a supervisor answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Why it was not done.
    pub error: Option<String>,
    /// How the container ended.
    pub status: Option<i32>,
}

/// A path of the socket that is short enough for sun_path, however long that of the directory is (unix(7)).
pub(crate) fn with_socket<T>(dir: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let open = File::open(dir)?;
    work(&Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(SOCKET))
}

pub(crate) fn send<T: Serialize>(mut stream: &UnixStream, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// One line; `None` when the other side has gone.
pub(crate) fn receive<T: DeserializeOwned>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    reader.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The container has written this.
    Output(Stream),
    /// It has ended, with this status.
    Ended(i32),
}

pub(crate) fn send_end(mut to: impl Write, status: i32) -> io::Result<()> {
    let mut frame = vec![3, 0, 0, 0, 4];
    frame.extend(status.to_be_bytes());
    to.write_all(&frame)
}

pub(crate) fn send_frame(mut to: impl Write, stream: Stream, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(LONGEST_FRAME) {
        let mut frame = vec![if stream == Stream::Stdout { 1 } else { 2 }];
        // A piece is never longer.
        frame.extend(u32::try_from(piece.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(piece);
        to.write_all(&frame)?;
    }
    Ok(())
}

/// The next frame, `None` at the end.
pub(crate) fn receive_frame(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [kind, length @ ..] = head;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST_FRAME {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    buffer.resize(length, 0);
    from.read_exact(buffer)?;
    match (kind, buffer.as_slice()) {
        (1, _) => Ok(Some(Frame::Output(Stream::Stdout))),
        (2, _) => Ok(Some(Frame::Output(Stream::Stderr))),
        (3, &[a, b, c, d]) => Ok(Some(Frame::Ended(i32::from_be_bytes([a, b, c, d])))),
        _ => Err(io::Error::other("the supervisor says something else than frames")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn questions_and_answers_pass() {
        let (one, other) = UnixStream::pair().unwrap();
        let asked = Request::Stop { signal: None, timeout: Some(3) };
        send(&one, &asked).unwrap();
        let mut reader = BufReader::new(&other);
        assert_eq!(receive::<Request>(&mut reader).unwrap().unwrap(), asked);
        drop(one);
        assert_eq!(receive::<Request>(&mut reader).unwrap(), None);
        assert!(receive::<Request>(&mut BufReader::new(&b"{\"op\":\"dance\"}\n"[..])).is_err());
    }

    #[test]
    fn frames_pass_and_nonsense_does_not() {
        let mut bytes = Vec::new();
        send_frame(&mut bytes, Stream::Stderr, b"oh").unwrap();
        send_frame(&mut bytes, Stream::Stdout, &vec![7; LONGEST_FRAME + 1]).unwrap();
        send_end(&mut bytes, -3).unwrap();
        let (mut from, mut buffer) = (bytes.as_slice(), Vec::new());
        assert_eq!(receive_frame(&mut from, &mut buffer).unwrap(), Some(Frame::Output(Stream::Stderr)));
        assert_eq!(buffer, b"oh");
        for length in [LONGEST_FRAME, 1] {
            assert_eq!(receive_frame(&mut from, &mut buffer).unwrap(), Some(Frame::Output(Stream::Stdout)));
            assert_eq!(buffer.len(), length);
        }
        assert_eq!(receive_frame(&mut from, &mut buffer).unwrap(), Some(Frame::Ended(-3)));
        assert_eq!(receive_frame(&mut from, &mut buffer).unwrap(), None);
        for nonsense in [&[9, 0, 0, 0, 0][..], &[1, 255, 255, 255, 255], &[3, 0, 0, 0, 1, 7]] {
            assert!(receive_frame(&mut &*nonsense, &mut buffer).is_err());
        }
    }
}
