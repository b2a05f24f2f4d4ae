//! Files by HTTP and HTTPS.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use storage_driver::Bytes;
use storage_layer::{Digest, DigestWriter};
use storage_sys::statfs;
use ureq::http::{
    Response,
    header::{AUTHORIZATION, LAST_MODIFIED},
};

use super::{Secrets, credentials, date};

/// No file of an image is near this; an endless answer ends here.
const MOST: u64 = 16 << 30;

/// To connect, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

const PIECE: usize = 128 * 1024;

/// The bytes of the file at an address, as they come.
///
/// # Errors
/// Why the server does not give it, for people.
pub fn fetch_file(url: &str) -> Result<Box<dyn Read + Send>, String> {
    Ok(Box::new(get(url, &Secrets::new())?.into_body().into_reader()))
}

/// To the host of the address alone it is told who asks.
fn get(url: &str, secrets: &Secrets) -> Result<Response<ureq::Body>, String> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .user_agent(concat!("harness/", env!("CARGO_PKG_VERSION")))
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::Never)
            // The bytes as they are stored there.
            .accept_encoding("identity")
            .build(),
    );
    let mut request = agent.get(url);
    if let Some(header) = credentials::of_http(secrets, url)? {
        request = request.header(AUTHORIZATION, header);
    }
    request.call().map_err(|error| shown(&error))
}

/// Writes what is there to the new file `path`, mode 600, with the time that the server gives it or else that of 1970,
/// as BuildKit does.
pub fn download(url: &str, secrets: &Secrets, path: &Path, cancel: &AtomicBool) -> Result<Digest, String> {
    let mut answer = get(url, secrets)?;
    let time = modified(&answer);
    let announced = answer.body().content_length();
    let dir = path.parent().unwrap_or(path);
    let most = statfs::room(dir).map_err(|error| error.to_string())?.available.min(MOST);
    if announced.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut out = DigestWriter::new(file.map_err(|error| error.to_string())?);
    let mut body = answer.body_mut().as_reader();
    let mut piece = vec![0; PIECE];
    let mut total: u64 = 0;
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err("the build was stopped".to_owned());
        }
        let read = body.read(&mut piece).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > most {
            return Err(too_large(most));
        }
        out.write_all(&piece[..read]).map_err(|error| error.to_string())?;
    }
    if let Some(length) = announced.filter(|length| *length != total) {
        return Err(format!("it ended after {total} of {length} bytes"));
    }
    let (file, digest, _) = out.finish();
    file.set_modified(time).map_err(|error| error.to_string())?;
    Ok(digest)
}

fn modified<B>(answer: &Response<B>) -> SystemTime {
    let text = answer.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
    let seconds = text.and_then(date::seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn too_large(most: u64) -> String {
    let why = if most < MOST { " that there is room for" } else { "" };
    format!("it is larger than the {}{why}", Bytes(most))
}

fn shown(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => format!("the server answered with status {status}"),
        other => other.to_string(),
    }
}
