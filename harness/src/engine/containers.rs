//! From an image to a running container.

use std::path::Path;

use harness_image::Image;
use harness_runtime::config::ContainerConfig;

/// The words that a container runs: docker's rules for ENTRYPOINT and CMD.
pub fn words(image: &Image, entrypoint: Option<&[String]>, command: &[String]) -> Vec<String> {
    let config = image.config.config().as_ref();
    let of_image = |get: fn(&oci_spec::image::Config) -> &Option<Vec<String>>| {
        config.and_then(|config| get(config).clone()).unwrap_or_default()
    };
    let replaced = entrypoint.is_some();
    let mut words = entrypoint.map_or_else(|| of_image(oci_spec::image::Config::entrypoint), <[String]>::to_vec);
    // A command of the image is for the image's own entry point.
    if command.is_empty() && !replaced {
        words.extend(of_image(oci_spec::image::Config::cmd));
    }
    words.extend_from_slice(command);
    words
}

/// The configuration of a container of an image, before a user's options.
pub fn config(image: &Image, rootfs: &Path, words: Vec<String>) -> ContainerConfig {
    let mut container = ContainerConfig::new(rootfs, words);
    if let Some(config) = image.config.config() {
        if let Some(env) = config.env() {
            container.env.clone_from(env);
        }
        if let Some(dir) = config.working_dir().as_ref().filter(|dir| !dir.is_empty()) {
            container.cwd = dir.into();
        }
        container.user = config.user().clone().filter(|user| !user.is_empty());
    }
    container
}
