//! Base images that are made when they are first asked for.

use harness_image::{Error, Image, Store, base::Base};

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
