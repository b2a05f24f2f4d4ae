use std::{
    io::{Read, Seek, SeekFrom},
    thread,
    time::Duration,
};

use harness_image::{Blob, Digest, Image, Reference, Store};
use storage_driver::Bytes;

use super::{
    Options,
    client::{Ask, Client, header_of},
    pull::place,
    url::Url,
};
use crate::{Done, Error, Result, Watch, receive::each};

/// As when fetching: so much progress counts as a new start.
const PROGRESS: u64 = 1 << 20;

const PAUSE: Duration = Duration::from_millis(200);

/// Gives an image to a registry under a name: what it does not have yet of the layers and the configuration, side by
/// side, and then the manifest, byte for byte. Returns the manifest's digest.
///
/// Layers that another repository of the same registry has, as the names of the store's images tell, are taken over
/// there without being sent.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Status`], [`Error::Refused`]; what the store says of damaged blobs.
pub fn push(store: &Store, image: &Image, name: &Reference, options: &Options, watch: &dyn Watch) -> Result<Digest> {
    let _held = store.lease()?;
    let (host, path) = place(name);
    let client = Client::connect(&host, &path, true, false, options)?;
    let push = Push { client: &client, store, watch, neighbours: neighbours(store, &host, &path)? };
    let mut blobs: Vec<Blob> = Vec::new();
    let config = Blob { digest: image.id, size: Bytes(image.manifest.config().size()) };
    let layers = image.layers().iter().map(|layer| Blob { digest: layer.digest, size: layer.size });
    for blob in layers.chain([config]) {
        if !blobs.contains(&blob) {
            blobs.push(blob);
        }
    }
    each(&blobs, options.parallel.max(1), |blob| push.blob(blob))?;
    push.manifest(image, name.tag().map_or_else(|| image.manifest_digest.to_string(), str::to_owned).as_str())?;
    Ok(image.manifest_digest)
}

/// Which other repositories of a registry have which layers, by the names of the store's images.
fn neighbours(store: &Store, host: &str, path: &str) -> Result<Vec<(Digest, String)>> {
    let mut found = Vec::new();
    for image in store.list()? {
        for (there, repository) in image.references.iter().map(place) {
            if there == host && repository != path {
                found.extend(image.layers().iter().map(|layer| (layer.digest, repository.clone())));
            }
        }
    }
    Ok(found)
}

struct Push<'a> {
    client: &'a Client,
    store: &'a Store,
    watch: &'a dyn Watch,
    neighbours: Vec<(Digest, String)>,
}

/// Where an upload stands.
struct Upload {
    at: Url,
    sent: u64,
}

impl Push<'_> {
    fn blob(&self, blob: &Blob) -> Result<()> {
        if self.has(blob)? {
            self.watch.done(&blob.digest, Done::Present);
            return Ok(());
        }
        let Some(upload) = self.start(blob)? else {
            self.watch.done(&blob.digest, Done::Mounted);
            return Ok(());
        };
        self.watch.begin(&blob.digest, blob.size);
        self.upload(blob, upload)?;
        self.watch.done(&blob.digest, Done::Moved);
        Ok(())
    }

    fn has(&self, blob: &Blob) -> Result<bool> {
        let answer = self.client.send(&Ask::new("HEAD"), &self.client.url(&format!("blobs/{}", blob.digest)))?;
        match answer.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.client.failed(&format!("asking for blob {}", blob.digest), answer)),
        }
    }

    /// Starts an upload, unless the registry takes the blob over from a repository next door.
    fn start(&self, blob: &Blob) -> Result<Option<Upload>> {
        let url = self.client.url("blobs/uploads/");
        let neighbour = self.neighbours.iter().find(|(digest, _)| *digest == blob.digest);
        let (url, scope) = match neighbour {
            None => (url, None),
            Some((digest, from)) => {
                (url.with("mount", &digest.to_string()).with("from", from), Some(format!("repository:{from}:pull")))
            }
        };
        let ask = Ask { scope: scope.as_deref(), ..Ask::new("POST") };
        let answer = self.client.send_bytes(&ask, &url, b"")?;
        match answer.status().as_u16() {
            201 => Ok(None),
            202 => Ok(Some(Upload { at: self.client.location(&url, &answer)?, sent: 0 })),
            _ => Err(self.client.failed(&format!("starting the upload of blob {}", blob.digest), answer)),
        }
    }

    fn upload(&self, blob: &Blob, upload: Upload) -> Result<()> {
        let mut upload = upload;
        let mut failures = 0;
        loop {
            let before = upload.sent;
            let why = match self.send_rest(blob, &upload) {
                Ok(at) => match self.finish(blob, &at) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if !why.may_pass() {
                return Err(why);
            }
            tracing::debug!(blob = %blob.digest, error = %why, "the upload is tried again");
            upload = match self.ask_where(&upload) {
                Ok(upload) => upload,
                // It forgot about it.
                Err(_) => match self.start(blob)? {
                    Some(upload) => upload,
                    None => return Ok(()),
                },
            };
            failures = if upload.sent >= before + PROGRESS { 1 } else { failures + 1 };
            if failures > self.client.retries() {
                return Err(why);
            }
            thread::sleep(PAUSE * 2_u32.pow(failures.min(6) - 1));
        }
    }

    /// Sends what the registry does not have yet, and says where to go on.
    fn send_rest(&self, blob: &Blob, upload: &Upload) -> Result<Url> {
        let left = blob.size.get() - upload.sent;
        if left == 0 {
            return Ok(upload.at.clone());
        }
        let path = self.store.blobs().path(&blob.digest);
        let open = || -> Result<Told<'_>> {
            let mut file = self.store.blobs().open_blob(&blob.digest)?;
            file.seek(SeekFrom::Start(upload.sent)).map_err(Error::io("read", &path))?;
            Ok(Told { file: file.take(left), watch: self.watch })
        };
        let ask = Ask::new("PATCH")
            .header("content-type", "application/octet-stream")
            .header("content-length", left.to_string())
            .header("content-range", format!("{}-{}", upload.sent, blob.size.get() - 1));
        let answer = self.client.send_stream(&ask, &upload.at, open)?;
        match answer.status().as_u16() {
            202 | 201 | 204 => self.client.location(&upload.at, &answer),
            _ => Err(self.client.failed(&format!("uploading blob {}", blob.digest), answer)),
        }
    }

    fn finish(&self, blob: &Blob, at: &Url) -> Result<()> {
        let url = at.with("digest", &blob.digest.to_string());
        let ask = Ask::new("PUT").header("content-type", "application/octet-stream");
        let answer = self.client.send_bytes(&ask, &url, b"")?;
        match answer.status().as_u16() {
            201 | 204 => Ok(()),
            _ => Err(self.client.failed(&format!("finishing the upload of blob {}", blob.digest), answer)),
        }
    }

    /// How much of an upload has arrived (distribution-spec, "Pushing a blob in chunks").
    fn ask_where(&self, upload: &Upload) -> Result<Upload> {
        let answer = self.client.send(&Ask::new("GET"), &upload.at)?;
        if answer.status().as_u16() != 204 {
            return Err(self.client.failed("asking for an upload", answer));
        }
        let at = self.client.location(&upload.at, &answer)?;
        Ok(Upload { at, sent: header_of(&answer, "range").and_then(|range| arrived(&range)).unwrap_or(0) })
    }

    fn manifest(&self, image: &Image, name: &str) -> Result<()> {
        let bytes = self.store.blobs().read(&image.manifest_digest)?;
        let ask = Ask::new("PUT").header("content-type", image.media_type.to_string());
        let url = self.client.url(&format!("manifests/{name}"));
        let answer = self.client.send_bytes(&ask, &url, &bytes)?;
        match answer.status().as_u16() {
            200..=202 => Ok(()),
            _ => Err(self.client.failed(&format!("writing manifest {name}"), answer)),
        }
    }
}

/// Of `0-99`. A registry that has nothing yet says `0-0`, as one that has a byte: the byte is sent again.
fn arrived(range: &str) -> Option<u64> {
    let last: u64 = range.trim().trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

/// A file, of which is told how much was read.
struct Told<'a> {
    file: std::io::Take<std::fs::File>,
    watch: &'a dyn Watch,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.watch.moved(Bytes(count as u64));
        Ok(count)
    }
}
