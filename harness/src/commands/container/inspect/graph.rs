//! `GraphDriver`: where the storage driver has it.

use harness_container::Record;
use harness_image::{CHAIN_LABEL, ChainId, Image, Store};
use serde_json::{Map, Value, json};
use storage_driver::LayerId;

use crate::{
    drivers::{self, DRIVERS, Entry},
    place::Place,
};

/// Of a container's layer.
pub fn of_container(place: &Place, record: &Record) -> Value {
    let entry = drivers::find(&record.driver).ok();
    let data = entry.and_then(|entry| data(place, entry, &record.layer)).unwrap_or_default();
    graph(&record.driver, data, &record.layer, &record.driver_options)
}

/// Of an image's top layer, on the first driver that was seen to have it and still does.
pub fn of_image(place: &Place, store: &Store, image: &Image) -> Value {
    let Some(chain) = image.chain() else { return Value::Null };
    let found = DRIVERS.iter().find_map(|entry| {
        let layer = store.hinted_layer(entry.name, &chain).filter(|layer| holds(place, entry, layer, &chain))?;
        Some((entry, data(place, entry, &layer)?, layer))
    });
    found.map_or(Value::Null, |(entry, data, layer)| graph(entry.name, data, &layer, &[]))
}

/// What the driver tells of a layer; `None` where it does not have it.
fn data(place: &Place, entry: &Entry, layer: &LayerId) -> Option<Map<String, Value>> {
    let told = entry.directories(place, layer).ok()?;
    Some(told.into_iter().map(|(name, path)| (name.to_owned(), path.into())).collect())
}

/// Whether the layer is there and says that it is this chain's.
fn holds(place: &Place, entry: &Entry, layer: &LayerId, chain: &ChainId) -> bool {
    let infos = storage_root::glance(&place.driver(entry.name), layer).unwrap_or_default();
    infos.first().and_then(|info| info.labels.get(CHAIN_LABEL)).is_some_and(|label| *label == chain.to_string())
}

fn graph(driver: &str, mut data: Map<String, Value>, layer: &LayerId, options: &[String]) -> Value {
    data.insert("Layer".to_owned(), layer.to_string().into());
    data.insert("Options".to_owned(), options.into());
    json!({"Name": driver, "Data": data})
}
