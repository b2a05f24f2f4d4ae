use harness_image::{Blob, Digest, Image, Reference, Store, media};

use super::{
    Options,
    client::{Ask, Client, header_of},
};
use crate::{
    Error, Result, Watch,
    document::shown,
    limits,
    receive::Receiver,
    source::{Source, Stream},
};

/// A repository to pull from.
struct Remote<'o> {
    client: Client,
    options: &'o Options,
}

/// Takes an image from its registry, or from one of its mirrors, into the store, and gives it names.
///
/// Layers come side by side. What was received when it stops is kept: the next pull goes on there.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Status`], [`Error::NotFound`], [`Error::Platform`], [`Error::Refused`]; what the
/// store says. No image is made then, and no name moves.
pub fn pull(
    store: &Store,
    reference: &Reference,
    names: &[Reference],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Image> {
    let (host, path) = place(reference);
    for mirror in options.mirrors.iter().filter(|mirror| mirror.of == host) {
        match from(store, reference, (&mirror.host, &path, mirror.plain), names, options, watch) {
            Ok(image) => return Ok(image),
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => tracing::warn!(mirror = mirror.host, %error, "the mirror does not help"),
        }
    }
    from(store, reference, (&host, &path, false), names, options, watch)
}

/// Host and repository of a name.
pub fn place(reference: &Reference) -> (String, String) {
    let whole = reference.repository();
    let (host, path) = whole.split_once('/').unwrap_or(("", &whole));
    (host.to_owned(), path.to_owned())
}

fn from(
    store: &Store,
    reference: &Reference,
    (host, path, plain): (&str, &str, bool),
    names: &[Reference],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Image> {
    let remote = Remote { client: Client::connect(host, path, false, plain, options)?, options };
    let (bytes, media_type) = remote.top(reference)?;
    Receiver::new(store, watch).receive(&remote, bytes, media_type.as_deref(), names)
}

impl Remote<'_> {
    /// The document that a name leads to, and under which media type it came.
    fn top(&self, reference: &Reference) -> Result<(Vec<u8>, Option<String>)> {
        let wanted =
            reference.digest().map_or_else(|| reference.tag().unwrap_or("latest").to_owned(), Digest::to_string);
        let (bytes, media_type, announced) = self.document(&wanted)?;
        let found = Digest::of(&bytes);
        let expected = reference.digest().map(Digest::to_string).or(announced);
        // Another algorithm's digest says nothing to those who do not know it.
        if expected.as_ref().is_some_and(|digest| digest.starts_with("sha256:") && *digest != found.to_string()) {
            let why = format!("what came as manifest {wanted} has the digest {found}");
            return Err(Error::refused(self.origin(), why));
        }
        Ok((bytes, media_type))
    }

    fn document(&self, wanted: &str) -> Result<(Vec<u8>, Option<String>, Option<String>)> {
        let accept = [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.manifest.v1+json",
            media::DOCKER_LIST,
            media::DOCKER_MANIFEST,
        ];
        let url = self.client.url(&format!("manifests/{wanted}"));
        let answer = self.again(|| self.client.send(&Ask::new("GET").header("accept", accept.join(", ")), &url))?;
        match answer.status().as_u16() {
            200 => {}
            404 => {
                let (origin, name) = (self.origin(), wanted.to_owned());
                return Err(Error::NotFound { origin, name, there: Vec::new() });
            }
            _ => return Err(self.client.failed(&format!("reading manifest {wanted}"), answer)),
        }
        let media_type = header_of(&answer, "content-type");
        let media_type = media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let announced = header_of(&answer, "docker-content-digest");
        Ok((self.client.body(answer, limits::DOCUMENT)?, media_type, announced))
    }

    /// Tries again what a moment may mend.
    fn again<T>(&self, ask: impl Fn() -> Result<T>) -> Result<T> {
        match ask() {
            Err(error) if error.may_pass() => ask(),
            answer => answer,
        }
    }
}

impl Source for Remote<'_> {
    fn origin(&self) -> String {
        self.client.origin()
    }

    fn manifest(&self, blob: &Blob) -> Result<Vec<u8>> {
        Ok(self.document(&blob.digest.to_string())?.0)
    }

    fn open(&self, blob: &Blob, start: u64) -> Result<Stream> {
        let mut ask = Ask::new("GET");
        if start > 0 {
            ask = ask.header("range", format!("bytes={start}-"));
        }
        let answer = self.client.send(&ask, &self.client.url(&format!("blobs/{}", blob.digest)))?;
        let start = match answer.status().as_u16() {
            200 => 0,
            206 => {
                let range = header_of(&answer, "content-range").unwrap_or_default();
                first_byte(&range).ok_or_else(|| {
                    Error::refused(self.origin(), format!("it sent a part of a blob as {}", shown(&range)))
                })?
            }
            404 => {
                let why = format!("its manifest names blob {}, which it does not have", blob.digest);
                return Err(Error::refused(self.origin(), why));
            }
            _ => return Err(self.client.failed(&format!("reading blob {}", blob.digest), answer)),
        };
        Ok(Stream { start, body: Box::new(answer.into_body().into_reader()) })
    }

    fn retries(&self) -> u32 {
        self.client.retries()
    }

    fn parallel(&self) -> usize {
        self.options.parallel.max(1)
    }
}

/// Of `bytes 5-9/10` (RFC 9110, 14.4).
fn first_byte(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}
