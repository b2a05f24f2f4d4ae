//! Just enough HTTP for dockerd's socket: one request a connection, the answer to its end (HTTP/1.0, RFC 1945).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Longer than a container of `true` takes anywhere.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Sends a request, and returns the body of an answer that says success.
pub fn request(socket: &Path, method: &str, path: &str, body: &str) -> Result<String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().with_context(|| format!("{method} {path} on {}", socket.display()))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{method} {path}: {} {}", head.lines().next().unwrap_or_default(), body.trim());
    }
    Ok(body.to_owned())
}
