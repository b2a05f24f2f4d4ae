mod list;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

use clap::{Args, Subcommand};
use harness_image::rfc3339;
use storage_driver::Bytes;

pub use self::list::links;
use super::{each, mounts};
use crate::{
    cli::Common,
    commands::{format, print, prune},
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Make, list and remove volumes
#[derive(Debug, Args)]
pub struct VolumeArgs {
    #[command(subcommand)]
    command: VolumeCommand,
}

#[derive(Debug, Subcommand)]
enum VolumeCommand {
    /// Make a volume; prints its name
    Create {
        #[command(flatten)]
        common: Common,
        /// A label for people and programs
        #[arg(long, value_name = "NAME[=VALUE]")]
        label: Vec<String>,
        /// What keeps it: local, a directory of the data directory's
        #[arg(long, short, value_name = "NAME", default_value = "local", value_parser = ["local"])]
        driver: String,
        /// Its name [default: drawn; such a volume goes with `prune`]
        name: Option<String>,
    },
    /// List volumes
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        list: list::ListArgs,
    },
    /// Tell all that is known of volumes, as JSON
    Inspect {
        #[command(flatten)]
        common: Common,
        /// A template instead of all, such as '{{.Mountpoint}}', or json for one line
        #[arg(long, short, value_name = "TEMPLATE")]
        format: Option<String>,
        /// Volumes, by name
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
    },
    /// Remove volumes that no container has
    #[command(visible_alias = "remove")]
    Rm {
        #[command(flatten)]
        common: Common,
        /// It is no failure if there is none of a name
        #[arg(long, short)]
        force: bool,
        /// Volumes, by name
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
    },
    /// Remove all volumes without a name that no container has; with --all those with a name, too
    Prune {
        #[command(flatten)]
        common: Common,
        /// Those with a name, too
        #[arg(long, short)]
        all: bool,
        /// Only those of which this holds: label=NAME[=VALUE], label!=NAME[=VALUE] or until=TIME
        #[arg(long, value_name = "NAME=VALUE")]
        filter: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        force: bool,
    },
}

impl VolumeArgs {
    /// What every command takes.
    pub const fn common(&mut self) -> &mut Common {
        match &mut self.command {
            VolumeCommand::Create { common, .. }
            | VolumeCommand::Ls { common, .. }
            | VolumeCommand::Inspect { common, .. }
            | VolumeCommand::Rm { common, .. }
            | VolumeCommand::Prune { common, .. } => common,
        }
    }
}

pub fn run(mut args: VolumeArgs) -> Result {
    let site = Site::open(Place::choose(args.common().root.as_deref()))?;
    match &args.command {
        VolumeCommand::Create { label, name, .. } => create(&site, label, name.as_deref()),
        VolumeCommand::Ls { list, .. } => list::run(&site, list),
        VolumeCommand::Inspect { names, format, .. } => inspect(&site, names, format.as_deref()),
        VolumeCommand::Rm { force, names, .. } => each(names, |name| remove(&site, name, *force)),
        VolumeCommand::Prune { all, filter, force, .. } => prune::volumes(&site, *all, *force, filter),
    }
}

fn create(site: &Site, labels: &[String], name: Option<&str>) -> Result {
    let label = |label: &String| {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        (name.to_owned(), value.to_owned())
    };
    let labels: BTreeMap<_, _> = labels.iter().map(label).collect();
    let drawn = name.is_none();
    let name = name.map_or_else(mounts::drawn_name, |name| Ok(name.to_owned()))?;
    site.volumes.create(&name, labels, drawn).map_err(|error| Failure::usage(error.to_string()))?;
    print(&format!("{name}\n"))
}

fn inspect(site: &Site, names: &[String], format: Option<&str>) -> Result {
    format::show(format, names, |name| found(site, name).map_err(|error| Failure::Failed(error.into())))
}

/// A volume in docker's shape.
pub fn found(site: &Site, name: &str) -> harness_container::Result<serde_json::Value> {
    let volume = site.volumes.find(name)?;
    Ok(serde_json::json!({
        "CreatedAt": rfc3339(volume.created), "Driver": "local", "Labels": volume.labels,
        "Mountpoint": site.volumes.data(name), "Name": volume.name, "Options": null, "Scope": "local",
    }))
}

fn remove(site: &Site, name: &str, force: bool) -> Result {
    if let Some(user) = user(site, name)? {
        return Err(Failure::failed(format!("volume {name} is container {user}'s; remove that first")));
    }
    match site.volumes.remove(name) {
        Err(harness_container::Error::NoVolume { .. }) if force => Ok(()),
        other => other.map_err(|error| Failure::Failed(error.into())),
    }
}

/// What a volume's files take; what cannot be read is not counted.
pub fn size(site: &Site, name: &str) -> Bytes {
    /// Each file once, however many names it has.
    fn allocated(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> Bytes {
        let Ok(about) = path.symlink_metadata() else { return Bytes(0) };
        let own =
            if seen.insert((about.dev(), about.ino())) { Bytes::from_stat_blocks(about.blocks()) } else { Bytes(0) };
        let inner = if about.is_dir() { fs::read_dir(path).ok() } else { None };
        inner
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| allocated(&entry.path(), seen))
            .fold(own, |all, one| all + one)
    }
    allocated(&site.volumes.data(name), &mut BTreeSet::new())
}

/// A container that has the volume.
fn user(site: &Site, name: &str) -> Result<Option<String>> {
    let all = site.containers.list()?;
    let has = |record: &harness_container::Record| record.configuration.volumes().any(|volume| volume == name);
    Ok(all.into_iter().find(|(record, _)| has(record)).map(|(record, _)| record.name))
}
