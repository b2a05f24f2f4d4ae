use std::{
    io::{self, BufReader, Read, Write},
    time::SystemTime,
};

use oci_spec::image::{Arch, ConfigBuilder, HistoryBuilder, ImageConfigurationBuilder, Os};
use storage_driver::Timestamp;
use storage_layer::{Limits, check_whole, decompress};

use super::PATH;
use crate::{Configuration, DockerConfig, Error, Image, LayerBlob, Reference, Result, Store, open_archive, rfc3339};

const BUFFER: usize = 256 << 10;

/// What an imported image is to be beyond its files.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// How to run it; by default just a search path, as `docker import` without `--change` has it.
    pub config: Option<Configuration>,
    /// Where it came from, for the history.
    pub message: String,
    /// When; now by default.
    pub created: Option<Timestamp>,
    /// The processor that it is for, and which one of its kind; this machine's by default.
    pub architecture: Option<(Arch, Option<String>)>,
}

/// Makes an image, with a name or none, of one layer: a root file system's tar, plain or compressed by gzip, bzip2, xz or zstd.
///
/// The tar is kept as it is, uncompressed, after it was read through: one that is cut short or damaged is refused.
///
/// # Errors
/// [`Error::Import`] names the entry that is wrong; what the store says. The store is then as before.
pub fn import(
    store: &Store,
    tar: &mut (dyn Read + Send),
    name: Option<&Reference>,
    options: &ImportOptions,
) -> Result<Image> {
    let _held = store.lease()?;
    let layer = read_through(store, tar, name)?;
    let invalid = |error: oci_spec::OciSpecError| Error::InvalidImage { why: error.to_string() };
    let created = rfc3339(options.created.unwrap_or_else(|| Timestamp::from_system(SystemTime::now())));
    let (config, docker) = match &options.config {
        Some(given) => (given.oci.config().clone().unwrap_or_default(), given.docker.clone()),
        None => {
            (ConfigBuilder::default().env(vec![PATH.to_owned()]).build().map_err(invalid)?, DockerConfig::default())
        }
    };
    let history =
        HistoryBuilder::default().created(created.clone()).comment(options.message.clone()).build().map_err(invalid)?;
    let (architecture, variant) = options.architecture.clone().unwrap_or_default();
    let mut image = ImageConfigurationBuilder::default()
        .created(created)
        .architecture(architecture)
        .os(Os::Linux)
        .config(config)
        .history(vec![history])
        .build()
        .map_err(invalid)?;
    image.set_variant(variant);
    store.put_tagged(Configuration { oci: image, docker }, vec![layer], name.map_or(&[], std::slice::from_ref))
}

fn read_through(store: &Store, tar: &mut (dyn Read + Send), name: Option<&Reference>) -> Result<LayerBlob> {
    let refused = |source: Box<dyn std::error::Error + Send + Sync>| Error::Import {
        name: name.map_or_else(|| "an image".to_owned(), Reference::to_string),
        source,
    };
    let mut blob = store.blobs().create()?;
    let plain = open_archive(tar).and_then(decompress).map_err(|error| refused(error.into()))?;
    let mut copy = Copy { from: plain, to: &mut blob, failed: None };
    let mut reader = BufReader::with_capacity(BUFFER, &mut copy);
    let checked = check_whole(&mut reader, &Limits::default())
        .map_err(Into::into)
        // What follows the end of a tar belongs to the layer's bytes too.
        .and_then(|entries| io::copy(&mut reader, &mut io::sink()).map(|_| entries).map_err(Into::into));
    if let Some(error) = copy.failed {
        return Err(Error::io("write", store.root())(error));
    }
    match checked {
        Ok(0) => Err(refused("it holds no entries; is it the tar of a root file system?".into())),
        Ok(_) => Ok(LayerBlob::plain(blob.commit()?)),
        Err(error) => Err(refused(error)),
    }
}

/// Writes down all that is read.
struct Copy<'a, R, W> {
    from: R,
    to: &'a mut W,
    /// What writing met; reading then ends with an error that says nothing.
    failed: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Copy<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let Err(error) = self.to.write_all(&buffer[..count]) {
            self.failed = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        Ok(count)
    }
}
