//! An image in docker's shape.

use harness_image::{Image, Reference, Store};
use serde_json::{Map, Value, json};

use super::{graph, record::NEVER};
use crate::{containers::Site, failure::Result};

pub fn image(site: &Site, store: &Store, image: &Image) -> Result<Value> {
    let names = image.references.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut digests: Vec<_> = image.references.iter().map(Reference::familiar_repository).collect();
    digests.sort();
    digests.dedup();
    let digests: Vec<_> = digests.iter().map(|name| format!("{name}@{}", image.manifest_digest)).collect();
    let history = image.history();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    Ok(json!({
        "Id": image.id.to_string(),
        "RepoTags": names,
        "RepoDigests": digests,
        "Digest": image.manifest_digest.to_string(),
        "Parent": "",
        "Comment": history.last().map_or("", |step| step.comment.as_str()),
        "Created": image.config.created(),
        "DockerVersion": "",
        "Author": text(image.config.author().as_ref()),
        "Architecture": image.config.architecture(),
        "Variant": text(image.config.variant().as_ref()),
        "Os": image.config.os(),
        "Config": config(image)?,
        "Size": image.size().get(),
        "GraphDriver": graph::of_image(&site.place, store, image),
        "RootFS": {"Type": "layers", "Layers": image.config.rootfs().diff_ids()},
        // It is not kept; this is how docker writes that it does not know.
        "Metadata": {"LastTagTime": NEVER},
        "History": image.config.history(),
    }))
}

/// What docker's and OCI's configuration have together, with the fields that docker always writes.
fn config(image: &Image) -> Result<Value> {
    let mut config: Map<_, _> = [
        ("Hostname", json!("")),
        ("Domainname", json!("")),
        ("User", json!("")),
        ("AttachStdin", json!(false)),
        ("AttachStdout", json!(false)),
        ("AttachStderr", json!(false)),
        ("Tty", json!(false)),
        ("OpenStdin", json!(false)),
        ("StdinOnce", json!(false)),
        ("Env", Value::Null),
        ("Cmd", Value::Null),
        ("Image", json!("")),
        ("Volumes", Value::Null),
        ("WorkingDir", json!("")),
        ("Entrypoint", Value::Null),
        ("OnBuild", Value::Null),
        ("Labels", Value::Null),
        ("ExposedPorts", Value::Null),
        ("Healthcheck", Value::Null),
        ("StopSignal", json!("")),
        ("Shell", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    for part in [serde_json::to_value(image.config.config())?, serde_json::to_value(&image.docker)?] {
        if let Value::Object(fields) = part {
            config.extend(fields);
        }
    }
    // Sets, which docker has as objects.
    for name in ["ExposedPorts", "Volumes"] {
        if let Some(Value::Array(names)) = config.get(name) {
            let set = names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), json!({}))).collect();
            config.insert(name.to_owned(), Value::Object(set));
        }
    }
    Ok(Value::Object(config))
}
