//! Answering on a container's socket.

use std::{
    fs,
    io::{self, BufReader, Read},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::shared::Shared;
use crate::{
    Answer, Error, Request, Result,
    control::{self, SOCKET},
    streams::Streams,
};

/// The socket, and the thread that listens.
#[derive(Debug)]
pub(super) struct Server {
    dir: PathBuf,
    over: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn start(shared: &Arc<Shared>, streams: &Arc<Streams>, dir: PathBuf) -> Result<Self> {
        // Left by one that was killed: nobody listens there, as we hold the container.
        match fs::remove_file(dir.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", dir.join(SOCKET))(error));
            }
            _ => {}
        }
        let listener = control::with_socket(&dir, |socket| UnixListener::bind(socket))
            .map_err(Error::io("listen on", dir.join(SOCKET)))?;
        let over = Arc::new(AtomicBool::new(false));
        let (shared, streams, ending) = (shared.clone(), streams.clone(), over.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ending.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    let (shared, streams) = (shared.clone(), streams.clone());
                    // A question may wait for the container's end, so each has a thread.
                    thread::spawn(move || {
                        // Who asked may have gone.
                        let _ = serve(&shared, &streams, stream);
                    });
                }
            }
        });
        Ok(Self { dir, over })
    }

    /// Nobody else is answered.
    pub(super) fn stop(self) {
        self.over.store(true, Ordering::Release);
        // Wakes the listener up.
        let _ = control::with_socket(&self.dir, |socket| UnixStream::connect(socket));
        let _ = fs::remove_file(self.dir.join(SOCKET));
    }
}

fn serve(shared: &Shared, streams: &Streams, stream: UnixStream) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let request = match control::receive(&mut reader) {
        Ok(None) => return Ok(()),
        Ok(Some(request)) => request,
        Err(error) => {
            return control::send(&stream, &Answer { error: Some(format!("not understood: {error}")), status: None });
        }
    };
    if let Request::Attach { stdin } = request {
        control::send(&stream, &Answer::default())?;
        streams.attach(stream.try_clone()?)?;
        return if stdin { pass_input(streams, reader) } else { Ok(()) };
    }
    if request == Request::Freeze {
        return freeze(shared, &stream, reader);
    }
    let answer = answer(shared, streams, &request);
    control::send(&stream, &answer.unwrap_or_else(|error| refusal(&error)))
}

fn refusal(error: &Error) -> Answer {
    Answer { error: Some(error.to_string()), status: None }
}

fn freeze(shared: &Shared, stream: &UnixStream, mut reader: impl Read) -> io::Result<()> {
    if let Err(error) = shared.pause() {
        return control::send(stream, &refusal(&error));
    }
    let told = control::send(stream, &Answer::default());
    // Nothing is said any more; the end comes when the other side has gone.
    let gone = io::copy(&mut reader, &mut io::sink());
    // Somebody else may have let them go on by now.
    let _ = shared.resume();
    told.and(gone.map(drop))
}

fn answer(shared: &Shared, streams: &Streams, request: &Request) -> Result<Answer> {
    let done = |()| Answer::default();
    match *request {
        Request::Signal { signal } => shared.kill(signal).map(done),
        Request::Stop { signal, timeout } => shared.stop_for_good(signal, timeout),
        Request::Pause => shared.pause().map(done),
        Request::Resume => shared.resume().map(done),
        Request::Wait => Ok(shared.wait()),
        Request::Resize { rows, cols } => {
            streams.resize(rows, cols);
            Ok(Answer::default())
        }
        // Answered before it gets here.
        Request::Attach { .. } | Request::Freeze => Ok(Answer::default()),
    }
}

fn pass_input(streams: &Streams, mut reader: impl Read) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = reader.read(&mut buffer)?;
        if length == 0 || !streams.give(&buffer[..length]) {
            return Ok(());
        }
    }
}
