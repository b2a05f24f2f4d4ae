//! Base images that need no network.
//!
//! [`Base::Host`] is made of this machine's own tools, so that containers can run programs;
//! [`Base::Synthetic`] ones have the shape of real images and the same bytes everywhere; [`import()`] takes any root
//! file system.

mod elf;
mod host;
mod import;
mod libraries;
mod links;
mod synthetic;
mod tree;

use std::{fmt, str::FromStr};

use oci_spec::image::{Arch, Config, ConfigBuilder, History, HistoryBuilder, ImageConfigurationBuilder, Os};
use storage_driver::Timestamp;

pub use self::{
    host::{HostImage, host},
    import::{ImportOptions, import},
    synthetic::Synthetic,
};
use crate::{Error, Image, LayerBlob, Reference, Result, Store, rfc3339};

/// The search path of images, as docker's default.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that can be made on the spot; its name is its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Base {
    /// Of this machine's shell, tools and libraries.
    Host,
    /// Made up.
    Synthetic(Synthetic),
}

impl Base {
    /// The name it is stored under: `slim:latest`.
    ///
    /// # Errors
    /// None in practice: all names are valid.
    pub fn reference(&self) -> Result<Reference> {
        Reference::parse(&self.to_string())
    }

    /// The image, made unless the store has it.
    ///
    /// `host` is always made again, since the machine's tools may have changed; the same tools give the same image.
    /// An image of other making that has the name loses it, and stays without.
    ///
    /// # Errors
    /// [`Error::Base`] when `host` lacks something; what the store says.
    pub fn ensure(&self, store: &Store) -> Result<Image> {
        let Self::Synthetic(synthetic) = self else { return Ok(host(store)?.image) };
        let reference = self.reference()?;
        match store.resolve(&reference.canonical()) {
            Ok(image) if is_made_by_this_version(&image) => return Ok(image),
            Ok(_) | Err(Error::NotFound { .. } | Error::Corrupt { .. } | Error::MissingBlob { .. }) => {}
            Err(error) => return Err(error),
        }
        let _held = store.lease()?;
        synthetic.make(store)?.put(store, &reference)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.pad("host"),
            Self::Synthetic(synthetic) => synthetic.fmt(f),
        }
    }
}

impl FromStr for Base {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "host" { Ok(Self::Host) } else { name.parse().map(Self::Synthetic) }
    }
}

/// The label that says which generator made an image.
const GENERATOR_LABEL: &str = "harness.base";
/// Changes whenever the same name would give other bytes.
const GENERATOR: &str = "1";

/// What is needed to make an image of layers that are in the store.
#[derive(Debug, Default)]
struct Made {
    about: String,
    /// With what to write into the history.
    layers: Vec<(String, LayerBlob)>,
    config: Option<Config>,
}

impl Made {
    fn put(self, store: &Store, reference: &Reference) -> Result<Image> {
        let created = rfc3339(Timestamp(tree::MTIME.unsigned_abs() * 1_000_000_000));
        let invalid = |error: oci_spec::OciSpecError| Error::InvalidImage { why: error.to_string() };
        let (texts, layers): (Vec<_>, Vec<_>) = self.layers.into_iter().unzip();
        let step = |text: String| -> Result<History> {
            HistoryBuilder::default().created(created.clone()).created_by(text).build().map_err(invalid)
        };
        let mut config = match self.config {
            Some(config) => config,
            None => ConfigBuilder::default().env(vec![PATH.to_owned()]).build().map_err(invalid)?,
        };
        let labels = config.labels_mut().get_or_insert_default();
        labels.insert(GENERATOR_LABEL.to_owned(), GENERATOR.to_owned());
        labels.insert("org.opencontainers.image.description".to_owned(), self.about);
        let image = ImageConfigurationBuilder::default()
            .created(created.clone())
            .architecture(Arch::default())
            .os(Os::Linux)
            .config(config)
            .history(texts.into_iter().map(step).collect::<Result<Vec<_>>>()?)
            .build()
            .map_err(invalid)?;
        store.put_tagged(image, layers, std::slice::from_ref(reference))
    }
}

fn is_made_by_this_version(image: &Image) -> bool {
    image.config.get_config_annotation(GENERATOR_LABEL).is_some_and(|version| version == GENERATOR)
}
