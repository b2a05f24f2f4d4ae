//! Where the images that a Dockerfile names come from.

use std::{error::Error, fmt};

use harness_image::{Image, Store};

/// Brings images that a build asks for.
pub trait Images: fmt::Debug + Sync {
    /// The image of this name, which is in the store when this returns. A build asks for each name once, for names whose
    /// variables are expanded, and for the stages alone that its target needs.
    ///
    /// # Errors
    /// Why there is none; the build shows it where the image is named.
    fn image(&self, store: &Store, name: &str) -> Result<Image, Box<dyn Error + Send + Sync>>;
}

/// Images that the store has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored;

impl Images for Stored {
    fn image(&self, store: &Store, name: &str) -> Result<Image, Box<dyn Error + Send + Sync>> {
        Ok(store.resolve(name)?)
    }
}
