//! `system df`: what takes room, and what of it could be given back.

mod verbose;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use harness_container::{Record, Status, Volume};
use harness_image::{CacheEntry, Image, Store};
use serde_json::json;
use storage_driver::Bytes;
use storage_layer::Digest;

use super::{
    container::{
        size::{Size, Sizes},
        volume,
    },
    format::List,
    print,
};
use crate::{cli::Common, containers::Site, failure::Result, place::Place, template::Value};

/// Tell what images, containers, volumes and the build cache take
///
/// Images and the build cache are counted as they are stored; what their layers take on each storage driver comes on top.
#[derive(Debug, Args)]
pub struct DfArgs {
    #[command(flatten)]
    pub common: Common,
    /// Tell of each thing
    #[arg(long, short = 'v', conflicts_with = "format")]
    detailed: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.Type}}: {{.Size}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    format: String,
}

const TABLE: &str = r"{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const HEADERS: [(&str, &str); 5] =
    [("Type", "TYPE"), ("TotalCount", "TOTAL"), ("Active", "ACTIVE"), ("Size", "SIZE"), ("Reclaimable", "RECLAIMABLE")];

pub fn run(args: &DfArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let found = Found::look(&site)?;
    if args.detailed {
        return print(&verbose::text(&found));
    }
    let rows = [found.of_images(), found.of_containers(), found.of_volumes(), found.of_cache()];
    print(&List { format: &args.format, table: TABLE, headers: &HEADERS }.text(&rows)?)
}

/// All that takes room.
struct Found {
    images: Vec<Image>,
    containers: Vec<(Record, Status, Size)>,
    volumes: Vec<(Volume, Bytes, usize)>,
    cache: Vec<(Digest, CacheEntry, std::time::SystemTime)>,
}

impl Found {
    fn look(site: &Site) -> Result<Self> {
        let store = Store::open(&site.place.images())?;
        let mut sizes = Sizes::new(site);
        let mut containers = Vec::new();
        for (record, status) in site.containers.list()? {
            let size = sizes.of(&record)?;
            containers.push((record, status, size));
        }
        let links = volume::links(site)?;
        let told = |found: Volume| {
            let (size, links) = (volume::size(site, &found.name), links.get(&found.name).copied().unwrap_or_default());
            (found, size, links)
        };
        let volumes = site.volumes.list()?.into_iter().map(told).collect();
        Ok(Self { images: store.list()?, containers, volumes, cache: store.cache().list()? })
    }

    /// How many containers were made from an image.
    fn users(&self, image: &Image) -> usize {
        let id = image.id.to_string();
        self.containers.iter().filter(|(record, ..)| record.image_id == id).count()
    }

    /// Layers with how many images have each.
    fn layers(&self) -> BTreeMap<Digest, (Bytes, usize)> {
        let mut layers = BTreeMap::new();
        for image in &self.images {
            let own: BTreeSet<_> = image.layers().iter().map(|layer| (layer.digest, layer.size)).collect();
            for (digest, size) in own {
                layers.entry(digest).or_insert((size, 0)).1 += 1;
            }
        }
        layers
    }

    fn of_images(&self) -> Value {
        let used = self.images.iter().filter(|image| self.users(image) > 0);
        let kept: BTreeSet<_> = used.clone().flat_map(Image::layers).map(|layer| layer.digest).collect();
        let layers = self.layers();
        let whole = layers.values().map(|(size, _)| *size).sum();
        let unused = layers.iter().filter(|(digest, _)| !kept.contains(digest)).map(|(_, (size, _))| *size).sum();
        row("Images", self.images.len(), used.count(), whole, unused)
    }

    fn of_containers(&self) -> Value {
        let size = |all: bool| {
            let counted = self.containers.iter().filter(|(_, status, _)| all || !status.is_alive());
            counted.map(|(_, _, size)| size.own).sum()
        };
        let active = self.containers.iter().filter(|(_, status, _)| status.is_alive()).count();
        row("Containers", self.containers.len(), active, size(true), size(false))
    }

    fn of_volumes(&self) -> Value {
        let size = |all: bool| {
            let counted = self.volumes.iter().filter(|(_, _, links)| all || *links == 0);
            counted.map(|(_, size, _)| *size).sum()
        };
        let active = self.volumes.iter().filter(|(_, _, links)| *links > 0).count();
        row("Local Volumes", self.volumes.len(), active, size(true), size(false))
    }

    /// What images share with it is counted there.
    fn of_cache(&self) -> Value {
        let shared = self.layers();
        let layers = self.cache.iter().filter_map(|(_, entry, _)| entry.layer.as_ref());
        let own = layers.filter(|layer| !shared.contains_key(&layer.digest)).map(|layer| (layer.digest, layer.size));
        let size = own.collect::<BTreeMap<_, _>>().into_values().sum();
        row("Build Cache", self.cache.len(), 0, size, size)
    }
}

fn row(kind: &str, total: usize, active: usize, size: Bytes, reclaimable: Bytes) -> Value {
    let part = if size.get() == 0 { None } else { Some(reclaimable.get() as f64 / size.get() as f64 * 100.0) };
    let part = part.map_or_else(String::new, |part| format!(" ({part:.0}%)"));
    Value::of(&json!({
        "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(), "Size": size.to_string(),
        "Reclaimable": format!("{reclaimable}{part}"), "SizeBytes": size.get(), "ReclaimableBytes": reclaimable.get(),
    }))
}
