use harness_image::{Blob, Digest, Image, Reference, Store, media};
use serde::Deserialize;

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
    anywhere(reference, options, |place| {
        let remote = Remote { client: place.connect(options)?, options };
        let (bytes, media_type) = remote.top(reference)?;
        let receiver = Receiver::new(store, watch).of(options.platform.clone());
        receiver.receive(&remote, bytes, media_type.as_deref(), names)
    })
}

/// All tags of a repository, as its registry or one of its mirrors lists them, each as a whole name.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Status`]; [`Error::Refused`] for a list that does not end, or of what are no tags.
pub fn tags(repository: &Reference, options: &Options) -> Result<Vec<Reference>> {
    anywhere(repository, options, |place| {
        let remote = Remote { client: place.connect(options)?, options };
        let names = remote.tags()?;
        let named = |tag: String| {
            let name = format!("{}:{tag}", repository.repository()).parse::<Reference>();
            // What looks like more than a tag would lead to another repository.
            let sound = name.ok().filter(|name| name.tag() == Some(&*tag) && name.digest().is_none());
            sound.ok_or_else(|| Error::refused(remote.origin(), format!("it lists {}, which is no tag", shown(&tag))))
        };
        let mut names: Vec<_> = names.into_iter().map(named).collect::<Result<_>>()?;
        // Their order is up to the registry, and some tell one twice.
        names.sort();
        names.dedup();
        Ok(names)
    })
}

/// Where a repository is to be found.
struct Place<'a> {
    host: &'a str,
    path: &'a str,
    plain: bool,
}

impl Place<'_> {
    fn connect(&self, options: &Options) -> Result<Client> {
        Client::connect(self.host, self.path, false, self.plain, options)
    }
}

/// Asks mirrors first, then the registry itself.
fn anywhere<T>(reference: &Reference, options: &Options, ask: impl Fn(&Place<'_>) -> Result<T>) -> Result<T> {
    let (host, path) = place(reference);
    for mirror in options.mirrors.iter().filter(|mirror| mirror.of == host) {
        match ask(&Place { host: &mirror.host, path: &path, plain: mirror.plain }) {
            Ok(answer) => return Ok(answer),
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => tracing::warn!(mirror = mirror.host, %error, "the mirror does not help"),
        }
    }
    ask(&Place { host: &host, path: &path, plain: false })
}

/// Host and repository of a name.
pub fn place(reference: &Reference) -> (String, String) {
    let whole = reference.repository();
    let (host, path) = whole.split_once('/').unwrap_or(("", &whole));
    (host.to_owned(), path.to_owned())
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

    /// All tags, a page after the other (distribution-spec, "Listing Tags").
    fn tags(&self) -> Result<Vec<String>> {
        let refused = |why: String| Error::refused(self.origin(), why);
        let (mut found, mut url) = (Vec::new(), self.client.url("tags/list"));
        for _ in 0..limits::PAGES {
            let answer = self.again(|| self.client.send(&Ask::new("GET"), &url))?;
            if answer.status().as_u16() != 200 {
                return Err(self.client.failed("listing tags", answer));
            }
            let next = header_of(&answer, "link").and_then(|link| next_page(&link).map(str::to_owned));
            let page = self.client.body(answer, limits::DOCUMENT)?;
            limits::values(&page).map_err(|why| refused(format!("its list of tags is too large: {why}")))?;
            let page: Tags = serde_json::from_slice(&page)
                .map_err(|error| refused(format!("its list of tags is malformed: {error}")))?;
            let page = page.tags.unwrap_or_default();
            // A page without tags that leads to another one would lead on forever.
            let Some(next) = next.filter(|_| !page.is_empty()) else {
                found.extend(page);
                return Ok(found);
            };
            found.extend(page);
            if found.len() > limits::TAGS {
                return Err(refused(format!("it lists more than {} tags", limits::TAGS)));
            }
            url = self.client.follow(&url, &next)?;
        }
        Err(refused(format!("its list of tags has more than {} pages", limits::PAGES)))
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

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// Of `</v2/a/tags/list?n=100&last=x>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
    parameters.split(';').any(is_next).then_some(target)
}

/// Of `bytes 5-9/10` (RFC 9110, 14.4).
fn first_byte(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}
