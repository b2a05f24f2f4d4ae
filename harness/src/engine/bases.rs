//! Images that are brought when they are first asked for.

use std::collections::BTreeMap;

use harness_builder::{BuildRequest, Images};
use harness_image::{Error, Image, Reference, Store, base::Base};
use harness_transfer::Options;

use crate::failure::{Failure, Result};

/// The image of this name; a built-in base (`host`, `tiny`, `slim`, `app`, ...) is made if it is not there.
pub fn resolve(store: &Store, name: &str) -> harness_image::Result<Image> {
    match (store.resolve(name), built_in(name)) {
        (Err(Error::NotFound { .. }), Some(base)) => base.ensure(store),
        (found, _) => found,
    }
}

fn built_in(name: &str) -> Option<Base> {
    name.strip_suffix(":latest").unwrap_or(name).parse().ok()
}

/// Images of the store, built-in bases, and what registries have.
#[derive(Debug, Default)]
pub struct Everywhere {
    /// How to talk to registries.
    pub registries: Options,
    /// Registries are asked for images that are there, too.
    pub anew: bool,
}

impl Images for Everywhere {
    fn image(&self, store: &Store, name: &str) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        let known = resolve(store, name);
        let reference = Reference::parse(name);
        let is_wanted = match (&known, &reference) {
            _ if built_in(name).is_some() => false,
            (Err(Error::NotFound { .. }), _) => true,
            // An id says which image it is.
            (Ok(image), Ok(reference)) => self.anew && image.references.contains(reference),
            _ => false,
        };
        match reference {
            Ok(reference) if is_wanted => {
                // One that is fixed by its digest is found by that, and has no name.
                let names = if reference.digest().is_none() { std::slice::from_ref(&reference) } else { &[] };
                let pulled = harness_transfer::pull(store, &reference, names, &self.registries, &());
                pulled.map_err(|error| format!("it cannot be pulled: {error}").into())
            }
            _ => Ok(known?),
        }
    }
}

/// Brings the images that a Dockerfile's target starts from and that are not there.
///
/// # Errors
/// What cannot be made or pulled.
pub fn ensure_for(
    store: &Store,
    dockerfile: &[u8],
    target: Option<&str>,
    build_args: &BTreeMap<String, String>,
) -> Result {
    // What is wrong with it is the builder's to say.
    let Ok(names) = harness_builder::base_images("Dockerfile", dockerfile, target, build_args) else { return Ok(()) };
    for name in names {
        Everywhere::default().image(store, &name).map_err(|error| Failure::failed(error.to_string()))?;
    }
    Ok(())
}

/// Makes the built-in bases that a Dockerfile's target starts from: what is known of them is part of what can be wrong.
///
/// # Errors
/// What cannot be made.
pub fn ensure_built_in(store: &Store, dockerfile: &[u8], request: &BuildRequest) -> Result {
    let target = request.target.as_deref();
    let Ok(names) = harness_builder::base_images("Dockerfile", dockerfile, target, &request.build_args) else {
        return Ok(());
    };
    for name in names.iter().filter(|name| built_in(name).is_some()) {
        resolve(store, name)?;
    }
    Ok(())
}
