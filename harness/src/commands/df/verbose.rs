//! `system df -v`: each thing by itself.

use harness_image::Reference;
use storage_driver::{Bytes, Timestamp};

use super::Found;
use crate::{commands::images::created, table};

pub fn text(found: &Found) -> String {
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage:\n\n{}",
        images(found, now),
        containers(found, now),
        volumes(found),
        cache(found, now),
    )
}

fn images(found: &Found, now: u64) -> String {
    let layers = found.layers();
    let mut rows = Vec::new();
    for image in &found.images {
        let is_shared = |digest| layers.get(digest).is_some_and(|(_, images)| *images > 1);
        let shared: Bytes =
            image.layers().iter().filter(|layer| is_shared(&layer.digest)).map(|layer| layer.size).sum();
        let row = |name: Option<&Reference>| {
            let none = || "<none>".to_owned();
            vec![
                name.map_or_else(none, Reference::familiar_repository),
                name.and_then(Reference::tag).map_or_else(none, str::to_owned),
                image.short_id(),
                created(image).map_or_else(String::new, |created| table::ago(now, created.0)),
                image.size().to_string(),
                shared.to_string(),
                image.size().saturating_sub(shared).to_string(),
                found.users(image).to_string(),
            ]
        };
        if image.references.is_empty() {
            rows.push(row(None));
        }
        rows.extend(image.references.iter().map(|name| row(Some(name))));
    }
    let header = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"];
    table::columns(&header, &rows)
}

fn containers(found: &Found, now: u64) -> String {
    let row = |(record, status, size): &(harness_container::Record, harness_container::Status, super::Size)| {
        vec![
            record.short_id().to_owned(),
            record.image.clone(),
            record.driver.clone(),
            record.configuration.volumes().count().to_string(),
            size.own.to_string(),
            table::ago(now, record.created.0),
            status.name().to_owned(),
            record.name.clone(),
        ]
    };
    let rows: Vec<_> = found.containers.iter().map(row).collect();
    table::columns(&["CONTAINER ID", "IMAGE", "DRIVER", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"], &rows)
}

fn volumes(found: &Found) -> String {
    let rows: Vec<_> = found
        .volumes
        .iter()
        .map(|(volume, size, links)| vec![volume.name.clone(), links.to_string(), size.to_string()])
        .collect();
    table::columns(&["VOLUME NAME", "LINKS", "SIZE"], &rows)
}

fn cache(found: &Found, now: u64) -> String {
    let shared = found.layers();
    let rows: Vec<_> = found
        .cache
        .iter()
        .map(|(key, entry, used)| {
            let layer = entry.layer.as_ref();
            let is_shared = layer.is_some_and(|layer| shared.contains_key(&layer.digest));
            vec![
                key.hex().chars().take(12).collect(),
                table::shortened(&entry.instruction.replace(['\n', '\t'], " "), 40),
                layer.map_or(Bytes(0), |layer| layer.size).to_string(),
                table::ago(now, entry.created.0),
                table::ago(now, Timestamp::from_system(*used).0),
                is_shared.to_string(),
            ]
        })
        .collect();
    table::columns(&["CACHE ID", "INSTRUCTION", "SIZE", "CREATED", "LAST USED", "SHARED"], &rows)
}
