//! Base images that are made when they are first asked for.

use harness_image::{Error, Image, Reference, Store, base::Base};

use crate::failure::{Failure, Result};

/// The image of this name; a built-in base (`host`, `tiny`, `slim`, `app`, ...) is made if it is not there.
pub fn resolve(store: &Store, name: &str) -> harness_image::Result<Image> {
    match (store.resolve(name), name.strip_suffix(":latest").unwrap_or(name).parse::<Base>()) {
        (Err(Error::NotFound { .. }), Ok(base)) => base.ensure(store),
        (found, _) => found,
    }
}

/// Brings the images that a Dockerfile starts from and that are not there: built-in bases are made, all others come from
/// their registries. With `anew` registries are asked for images that are there, too.
///
/// # Errors
/// A built-in base that cannot be made; with `anew`, what cannot be pulled.
pub fn ensure_for(store: &Store, dockerfile: &[u8], anew: bool) -> Result {
    // What is wrong with it is the builder's to say.
    let Ok(file) = harness_builder::parse(dockerfile) else { return Ok(()) };
    for (number, stage) in file.stages.iter().enumerate() {
        let name = stage.base.text.as_str();
        let is_stage =
            file.stages[..number].iter().any(|earlier| earlier.name.as_ref().is_some_and(|n| n.text == name));
        if name == "scratch" || name.contains('$') || is_stage {
            continue;
        }
        if name.parse::<Base>().is_ok() {
            resolve(store, name)?;
        } else if anew {
            pull(store, name)?;
        } else if matches!(store.resolve(name), Err(Error::NotFound { .. }))
            && let Err(failure) = pull(store, name)
        {
            // The builder shows where it is asked for.
            tracing::warn!("{name} is not in the store, and cannot be pulled: {failure}");
        }
    }
    Ok(())
}

fn pull(store: &Store, name: &str) -> Result {
    let reference: Reference = name.parse()?;
    let options = harness_transfer::Options::default();
    harness_transfer::pull(store, &reference, std::slice::from_ref(&reference), &options, &())
        .map_err(|error| Failure::Failed(error.into()))?;
    Ok(())
}
