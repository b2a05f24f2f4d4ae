//! `--iidfile` and `--metadata-file`.

use std::path::Path;

use anyhow::Context;
use harness_image::{Image, Reference};
use serde_json::{Map, Value, json};

use crate::failure::Result;

/// The id alone, without a line's end, as docker writes it.
pub fn write_id(path: &Path, image: &Image) -> Result {
    Ok(std::fs::write(path, image.id.to_string()).with_context(|| format!("cannot write {}", path.display()))?)
}

/// What buildx says of an image that is in the store or in a registry; of nothing where the build made none.
pub fn write(path: &Path, image: Option<&Image>, names: &[Reference]) -> Result {
    let text = serde_json::to_string_pretty(&about(image, names))?;
    Ok(std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?)
}

fn about(image: Option<&Image>, names: &[Reference]) -> Value {
    let Some(image) = image else { return Value::Object(Map::new()) };
    let (id, manifest) = (image.id.to_string(), image.manifest_digest.to_string());
    let mut about = json!({
        "containerimage.config.digest": id,
        "containerimage.descriptor": {
            "mediaType": image.media_type.to_string(),
            "digest": manifest,
            "size": image.manifest_size.get(),
            "annotations": {
                "config.digest": id,
                "org.opencontainers.image.created": image.config.created().clone().unwrap_or_default(),
            },
        },
        "containerimage.digest": manifest,
    });
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(Reference::canonical).collect();
        about["image.name"] = names.join(",").into();
    }
    about
}
