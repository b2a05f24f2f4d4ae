use std::{collections::BTreeSet, fs::File, time::Duration};

use anyhow::{Context, anyhow};
use clap::Args;
use harness_container::{Containers, Record};
use harness_image::{CHAIN_LABEL, ChainId, Image, PrepareOptions, Purpose, Store};
use storage_driver::{LayerId, LayerState, MountMode, StorageDriver};
use storage_layer::{Kind, Manifest, Rules};

use crate::{
    cli::Common,
    commands::print,
    drivers,
    engine::session::Session,
    failure::{Failure, Result},
    place::Place,
    say, table,
};

/// Move images' layers and containers from one storage driver to another, and verify them
///
/// Layers go as the tars that images are made of. What arrived is compared with what was there, file by file in everything but
/// the places of holes, and only then taken away from the old driver. Containers that are running are not moved.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    pub common: Common,
    /// The driver that has them
    #[arg(long, value_name = "NAME")]
    pub from: String,
    /// The driver that is to have them
    #[arg(long, value_name = "NAME")]
    pub to: String,
    /// Option of the driver that has them, such as fs=xfs; may be given several times
    #[arg(long = "from-opt", value_name = "NAME=VALUE")]
    pub from_options: Vec<String>,
    /// Option of the driver that is to have them; may be given several times
    #[arg(long = "to-opt", value_name = "NAME=VALUE")]
    pub to_options: Vec<String>,
    /// Leave the images' layers on the old driver too
    #[arg(long)]
    pub keep: bool,
    /// Images, by name or id, with the containers made from them [default: all that the old driver has]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
}

pub fn run(args: &MigrateArgs) -> Result {
    let (from, to) = (drivers::find(&args.from)?, drivers::find(&args.to)?);
    if from.name == to.name {
        return Err(Failure::usage(format!("--from and --to are both {}", from.name)));
    }
    let place = Place::choose(args.common.root.as_deref());
    if !place.driver(from.name).exists() {
        return Err(Failure::usage(format!("{} has no layers in {}", from.name, place.path().display())));
    }
    let store = Store::open(&place.images())?;
    let open = |entry: &drivers::Entry, given: &[String]| -> Result<Session> {
        Session::on(store.clone(), entry.open_in_turn(&place, &drivers::options(given)?)?)
    };
    let migration = Migration { from: open(from, &args.from_options)?, to: open(to, &args.to_options)? };
    let images = migration.images(&store, &args.images)?;
    let containers = Containers::open(place.containers())?;
    let mut rows = Vec::new();
    for image in &images {
        rows.push(migration.copy(image)?);
    }
    let mut stay = Vec::new();
    for (record, status) in containers.list()? {
        let Some(image) = images.iter().find(|image| image.id.to_string() == record.image_id) else { continue };
        if record.driver != from.name {
            continue;
        }
        if status.is_alive() {
            stay.push(record.name);
        } else {
            rows.push(migration.container(&containers, image, record)?);
        }
    }
    if !args.keep {
        migration.take_away(&store, &images)?;
    }
    print(&table::columns(&["WHAT", "NAME", "LAYERS", "FILES COMPARED"], &rows))?;
    match stay.as_slice() {
        [] => Ok(()),
        names => Err(Failure::failed(format!(
            "running containers stay on {}, with the layers they stand on: {}; end them and migrate again",
            from.name,
            names.join(", ")
        ))),
    }
}

struct Migration {
    from: Session,
    to: Session,
}

impl Migration {
    /// Those that were named, else those whose topmost layer the old driver has.
    fn images(&self, store: &Store, names: &[String]) -> Result<Vec<Image>> {
        if names.is_empty() {
            let mut there = Vec::new();
            for image in store.list()? {
                if self.layer_of(&image)?.is_some() {
                    there.push(image);
                }
            }
            return Ok(there);
        }
        names.iter().map(|name| store.resolve(name).map_err(|error| Failure::Failed(error.into()))).collect()
    }

    /// An image's topmost layer on the old driver.
    fn layer_of(&self, image: &Image) -> Result<Option<LayerId>> {
        let Some(chain) = image.chain() else { return Ok(None) };
        Ok(self.from.layers.layer_of(&chain)?)
    }

    /// Makes an image's layers on the new driver and compares the whole tree.
    fn copy(&self, image: &Image) -> Result<Vec<String>> {
        let name = image.references.first().map_or_else(|| image.short_id(), ToString::to_string);
        let there = self.to.layers.ensure(image)?;
        let here = self.layer_of(image)?;
        let compared = match (here, there) {
            (Some(here), Some(there)) => self.compare(&here, &there, &name)?.to_string(),
            // Nothing was there to compare with: the layers' digests are what was verified.
            _ => "-".to_owned(),
        };
        Ok(vec!["image".to_owned(), name, image.layers().len().to_string(), compared])
    }

    /// Mounts both for reading; fails unless they show the same. Returns how many files that were.
    fn compare(&self, here: &LayerId, there: &LayerId, name: &str) -> Result<usize> {
        let (mut expected, mut found) = (scan(&**self.from.driver(), here)?, scan(&**self.to.driver(), there)?);
        // What no layer tar carries: sockets, and the time of the root directory itself.
        expected.entries.retain(|_, entry| entry.kind != Kind::Socket);
        found.entries.retain(|_, entry| entry.kind != Kind::Socket);
        if let (Some(known), Some(root)) = (expected.entries.get(&[][..]), found.entries.get_mut(&[][..])) {
            root.mtime = known.mtime;
        }
        let rules = Rules { ignore_holes: true, ..Rules::default() };
        let differences = expected.compare(&found, &rules);
        match differences.first() {
            None => Ok(expected.entries.len()),
            Some(first) => Err(Failure::failed(format!(
                "{name} is not the same on {} in {} points, and stays on {} too; the first is {first}",
                self.to.driver().name(),
                differences.len(),
                self.from.driver().name()
            ))),
        }
    }

    /// A container's writable layer goes as its difference from the image.
    fn container(&self, containers: &Containers, image: &Image, mut record: Record) -> Result<Vec<String>> {
        let held = containers.hold(&record, Duration::ZERO)?;
        let (old, parent) = (record.layer.clone(), self.to.layers.ensure(image)?);
        let mut labels = self.from.driver().stat(&old)?.labels;
        labels.remove(CHAIN_LABEL);
        let options = PrepareOptions { purpose: Purpose::Container, labels, ..PrepareOptions::default() };
        let new = self.to.layers.prepare(parent.as_ref(), &options)?;
        let compared = self.pour(&old, &new).and_then(|()| self.compare(&old, &new, &record.name));
        let compared = compared.inspect_err(|_| _ = self.to.layers.discard(&new))?;
        self.to.driver().name().clone_into(&mut record.driver);
        record.layer = new;
        // From here on the container is the new driver's, whatever happens; the old layer is only in the way.
        held.write_durably(&record)?;
        self.from.layers.discard(&old)?;
        Ok(vec!["container".to_owned(), record.name, "1".to_owned(), compared.to_string()])
    }

    /// From one driver into the other through a pipe, and to the disk: the original will be removed.
    fn pour(&self, old: &LayerId, new: &LayerId) -> Result {
        let (mut reader, mut writer) = std::io::pipe().context("cannot make a pipe")?;
        std::thread::scope(|scope| {
            let written = scope.spawn(move || self.from.driver().diff(old, &mut writer));
            let read = self.to.driver().apply(new, &mut reader);
            // A writer whose reader has given up must not wait for it.
            drop(reader);
            let written = written.join().map_err(|_| Failure::Internal(anyhow!("the export panicked")))?;
            // The export's failure comes first: it is why the import saw only a part.
            let skipped = written?.skipped;
            read?;
            for skipped in skipped {
                say(&format!("/{} stays behind: {}", skipped.path.display(), skipped.why));
            }
            Ok::<_, Failure>(())
        })?;
        let view = self.to.driver().mount(new, MountMode::ReadOnly)?;
        let synced = File::open(view.path()).and_then(|root| Ok(rustix::fs::syncfs(root)?));
        let synced = synced.with_context(|| format!("cannot sync {}", view.path().display()));
        view.close()?;
        Ok(synced?)
    }

    /// Removes the images' layers from the old driver, topmost first, except those that other images have too. What something
    /// else stands on stays.
    fn take_away(&self, store: &Store, moved: &[Image]) -> Result {
        let ids: BTreeSet<_> = moved.iter().map(|image| image.id).collect();
        let others = store.list()?.into_iter().filter(|image| !ids.contains(&image.id));
        let kept: BTreeSet<String> = others.flat_map(|image| chains(&image)).collect();
        let gone: BTreeSet<String> = moved.iter().flat_map(chains).filter(|chain| !kept.contains(chain)).collect();
        let driver = self.from.driver();
        for layer in driver.list()?.into_iter().rev() {
            let chain = layer.labels.get(CHAIN_LABEL).filter(|_| layer.state == LayerState::Sealed);
            if !chain.is_some_and(|chain| gone.contains(chain)) {
                continue;
            }
            match driver.remove(&layer.id) {
                Ok(()) | Err(storage_driver::Error::HasChildren { .. } | storage_driver::Error::InUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn chains(image: &Image) -> Vec<String> {
    image.chains().iter().map(ChainId::to_string).collect()
}

fn scan(driver: &dyn StorageDriver, layer: &LayerId) -> Result<Manifest> {
    let view = driver.mount(layer, MountMode::ReadOnly)?;
    let manifest = Manifest::scan(view.path());
    view.close()?;
    Ok(manifest?)
}
