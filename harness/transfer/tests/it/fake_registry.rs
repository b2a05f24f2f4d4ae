//! A registry of a test's own on this machine, which answers as the test says.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use harness_image::Digest;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With what is after the question mark.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Of `bytes=5-`.
    pub fn start(&self) -> usize {
        let range = self.header("range").trim_start_matches("bytes=");
        range.trim_end_matches('-').parse().unwrap_or(0)
    }
}

/// Answers one request; the connection ends with it.
pub type Answer = dyn Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync;

pub struct FakeRegistry {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeRegistry {
    pub fn start(answer: impl Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, heard, answer) = (stop.clone(), asked.clone(), Arc::new(answer));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (heard, answer) = (heard.clone(), answer.clone());
                // Who does not want all of an answer goes away in the middle of it.
                thread::spawn(move || _ = serve(stream, &heard, &*answer));
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Everything that was asked for below a path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(path)).cloned().collect()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, heard: &Mutex<Vec<Asked>>, answer: &Answer) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = Asked { method, path, headers, body };
    heard.lock().unwrap().push(asked.clone());
    answer(&asked, reader.get_mut())
}

/// Answers with a status, headers and a body.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    head(stream, status, headers, body.len())?;
    stream.write_all(body)
}

/// The same without the body, which is said to be so long.
pub fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], length: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n")
}

/// The same byte until nobody listens, in chunks.
pub fn endless(stream: &mut TcpStream) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    loop {
        stream.write_all(&chunk)?;
    }
}

/// An image as a registry has it.
#[derive(Clone)]
pub struct Published {
    pub manifest: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
}

impl Published {
    /// Of layers.
    pub fn of(layers: &[&[u8]]) -> Self {
        let config = crate::support::configuration(layers);
        let manifest = crate::support::manifest(&config, layers).to_string().into_bytes();
        Self { manifest, blobs: std::iter::once(config).chain(layers.iter().map(|layer| layer.to_vec())).collect() }
    }

    /// The blob that is asked for.
    pub fn blob(&self, asked: &Asked) -> Option<&[u8]> {
        let (_, digest) = asked.path.split_once("/blobs/")?;
        self.blobs.iter().find(|blob| Digest::of(blob).to_string() == digest).map(Vec::as_slice)
    }

    /// As a good registry.
    pub fn answer(&self, asked: &Asked, stream: &mut TcpStream) -> io::Result<()> {
        let kind = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
        match self.blob(asked) {
            _ if asked.path == "/v2/" => reply(stream, "200 OK", &[], b"{}"),
            _ if asked.path.contains("/manifests/") => reply(stream, "200 OK", &kind, &self.manifest),
            Some(blob) if asked.start() > 0 => {
                let range = format!("bytes {}-{}/{}", asked.start(), blob.len() - 1, blob.len());
                reply(stream, "206 Partial Content", &[("Content-Range", &range)], &blob[asked.start()..])
            }
            Some(blob) => reply(stream, "200 OK", &[], blob),
            None => reply(stream, "404 Not Found", &[], b""),
        }
    }
}
