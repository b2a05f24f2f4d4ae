//! Base images that are made when they are first asked for.

use harness_image::{Error, Image, Store, base::Base};

use crate::failure::{Failure, Result};

/// The image of this name; a built-in base (`host`, `tiny`, `slim`, `app`, ...) is made if it is not there.
pub fn resolve(store: &Store, name: &str) -> harness_image::Result<Image> {
    match (store.resolve(name), name.strip_suffix(":latest").unwrap_or(name).parse::<Base>()) {
        (Err(Error::NotFound { .. }), Ok(base)) => base.ensure(store),
        (found, _) => found,
    }
}

/// Makes the built-in bases that a Dockerfile starts from and that are not there.
pub fn ensure_for(store: &Store, dockerfile: &[u8]) -> harness_image::Result<()> {
    // What is wrong with it is the builder's to say.
    let Ok(file) = harness_builder::parse(dockerfile) else { return Ok(()) };
    for stage in file.stages {
        if stage.base.text.parse::<Base>().is_ok() {
            resolve(store, &stage.base.text)?;
        }
    }
    Ok(())
}

/// Bases that live elsewhere cannot be asked for newer ones while building.
pub fn check_local(dockerfile: &[u8]) -> Result {
    let Ok(file) = harness_builder::parse(dockerfile) else { return Ok(()) };
    for (number, stage) in file.stages.iter().enumerate() {
        let name = &stage.base.text;
        let is_stage =
            file.stages[..number].iter().any(|earlier| earlier.name.as_ref().is_some_and(|n| n.text == *name));
        if name != "scratch" && !is_stage && name.parse::<Base>().is_err() {
            return Err(Failure::usage(format!(
                "--pull cannot look for a newer {name}: pull it, and build without --pull"
            )));
        }
    }
    Ok(())
}
