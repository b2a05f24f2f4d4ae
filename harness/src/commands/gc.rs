use std::time::Duration;

use clap::Args;
use harness_container::{Containers, Record, Status};
use harness_image::{Layers, Store};
use harness_runtime::ExternalRuntime;
use storage_driver::StorageDriver;

use crate::{cli::Common, commands::print, drivers, failure::Result, place::Place, say, scratch};

/// Remove what a crash left behind: mounts, loop devices, cgroups, half-made layers, unused blobs
///
/// Cgroups know no data directory: those of dead processes go, whichever directory they worked on.
#[derive(Debug, Args)]
pub struct GcArgs {
    #[command(flatten)]
    pub common: Common,
    /// Remove the build cache too, and the layers that only it needs
    #[arg(long)]
    pub cache: bool,
    /// Drivers: one, several with commas, or all
    #[arg(long, value_name = "NAME[,NAME...]", default_value = "all")]
    pub driver: Vec<String>,
    /// Option of the drivers, where their roots cannot be opened without, such as device=/dev/sdb; may be given several times
    #[arg(long = "driver-opt", value_name = "NAME=VALUE")]
    pub driver_options: Vec<String>,
}

pub fn run(args: &GcArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    if !place.path().exists() {
        return Ok(());
    }
    let mut gone = Gone::default();
    for left in harness_testbed::gc(&place.testbeds())?.into_iter().chain(scratch::gc(&place)?) {
        gone.say(left.kind, &left.what)?;
    }
    for group in harness_runtime::gc_cgroups()? {
        gone.say("cgroup", &group)?;
    }
    let store = Store::open(&place.images())?;
    if args.cache {
        for key in store.cache().prune(Duration::ZERO)? {
            gone.say("cache entry", &key)?;
        }
    }
    let containers = Containers::open(place.containers())?;
    // A build's place is gone when its interface is.
    let lives = |id: &str| {
        harness_builder::is_network_of_a_build(id) || containers.state(id).is_ok_and(|(_, status)| status.is_alive())
    };
    for left in harness_network::gc(&place.networks(), &lives)? {
        gone.say(left.kind, &left.what)?;
    }
    for runtime in ["runc", "crun", "youki"] {
        // One that is not there has left nothing.
        let Ok(runtime) = ExternalRuntime::new(runtime) else { continue };
        for id in runtime.remove_stale()? {
            gone.say("container of another runtime", &id)?;
        }
    }
    for left in containers.collect()? {
        gone.say("container", &left.display())?;
    }
    let choice = drivers::choose(&args.driver)?;
    let options = drivers::options(&args.driver_options)?;
    for entry in choice.entries.into_iter().filter(|entry| place.driver(entry.name).exists()) {
        match entry.open_in_turn(&place, &options) {
            Ok(driver) => clean_driver(driver, &store, &containers, &mut gone)?,
            // What it has stays; that is no reason to leave the rest.
            Err(error @ storage_driver::Error::Unusable { .. }) if choice.all => say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let collected = store.gc(&[])?;
    for blob in collected.blobs {
        gone.say("blob", &format_args!("{}, {}", blob.digest, blob.size))?;
    }
    if gone.count == 0 { print("nothing was left behind\n") } else { Ok(()) }
}

/// Opening a driver takes away what a crash left in it; then go the layers that nothing needs.
fn clean_driver(
    driver: std::sync::Arc<dyn StorageDriver>,
    store: &std::sync::Arc<Store>,
    containers: &Containers,
    gone: &mut Gone,
) -> Result {
    for left in driver.recovered() {
        gone.say(left.kind, &left.path.display())?;
    }
    let layers = Layers::new(store.clone(), driver.clone())?;
    // Also where nobody was killed: a build that failed may have had no room to take its layer away.
    for layer in layers.recovered().iter().chain(&harness_image::remove_unfinished(driver.as_ref())?) {
        gone.say("unfinished layer", layer)?;
    }
    for layer in ownerless(driver.as_ref(), containers)? {
        driver.remove(&layer)?;
        gone.say("container layer", &layer)?;
    }
    for layer in layers.prune(&[])?.removed {
        gone.say("unused layer", &layer)?;
    }
    Ok(())
}

/// Layers of containers whose records are gone, and of those that were to vanish with their end and were killed.
fn ownerless(driver: &dyn StorageDriver, containers: &Containers) -> Result<Vec<storage_driver::LayerId>> {
    let known = containers.list()?;
    let owned = |layer: &storage_driver::LayerId| {
        known.iter().any(|(record, status)| record.layer == *layer && !vanishes(record, *status))
    };
    let is_container = |layer: &storage_driver::LayerInfo| {
        layer.labels.get(harness_image::PURPOSE_LABEL).is_some_and(|purpose| purpose == "container")
    };
    let all = driver.list()?;
    let lost = all.into_iter().filter(|layer| is_container(layer) && !owned(&layer.id)).map(|layer| layer.id).collect();
    for (record, status) in known {
        if vanishes(&record, status) && record.driver == driver.name() {
            containers.remove(&record, containers.hold(&record, Duration::ZERO)?)?;
        }
    }
    Ok(lost)
}

/// It was to vanish with its end, and its supervisor was killed before it could see to that.
fn vanishes(record: &Record, status: Status) -> bool {
    record.auto_remove && !status.is_alive() && status != Status::Created
}

/// Tells what was removed as it goes.
#[derive(Debug, Default)]
struct Gone {
    count: usize,
}

impl Gone {
    fn say(&mut self, kind: &str, what: &dyn std::fmt::Display) -> Result {
        self.count += 1;
        print(&format!("removed {kind}: {what}\n"))
    }
}
