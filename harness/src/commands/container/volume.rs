use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use harness_image::rfc3339;

use super::{each, mounts};
use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    table,
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
        /// Its name [default: drawn; such a volume goes with `prune`]
        name: Option<String>,
    },
    /// List volumes
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        common: Common,
        /// Print names alone
        #[arg(long, short)]
        quiet: bool,
    },
    /// Tell all that is known of volumes, as JSON
    Inspect {
        #[command(flatten)]
        common: Common,
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
        /// Nothing is asked anyway
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
        VolumeCommand::Ls { quiet, .. } => list(&site, *quiet),
        VolumeCommand::Inspect { names, .. } => inspect(&site, names),
        VolumeCommand::Rm { force, names, .. } => each(names, |name| remove(&site, name, *force)),
        VolumeCommand::Prune { all, .. } => prune(&site, *all),
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

fn list(site: &Site, quiet: bool) -> Result {
    let volumes = site.volumes.list()?;
    if quiet {
        return print(&volumes.iter().map(|volume| format!("{}\n", volume.name)).collect::<String>());
    }
    let rows: Vec<_> = volumes.into_iter().map(|volume| vec!["local".to_owned(), volume.name]).collect();
    print(&table::columns(&["DRIVER", "VOLUME NAME"], &rows))
}

fn inspect(site: &Site, names: &[String]) -> Result {
    let one = |name: &String| -> Result<serde_json::Value> {
        let volume = site.volumes.find(name).map_err(|error| Failure::Failed(error.into()))?;
        Ok(serde_json::json!({
            "CreatedAt": rfc3339(volume.created), "Driver": "local", "Labels": volume.labels,
            "Mountpoint": site.volumes.data(name), "Name": volume.name, "Options": null, "Scope": "local",
        }))
    };
    let found = names.iter().map(one).collect::<Result<Vec<_>>>()?;
    print(&format!("{}\n", serde_json::to_string_pretty(&found)?))
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

fn prune(site: &Site, all: bool) -> Result {
    for volume in site.volumes.list()? {
        if (all || volume.anonymous) && user(site, &volume.name)?.is_none() {
            site.volumes.remove(&volume.name)?;
            print(&format!("{}\n", volume.name))?;
        }
    }
    Ok(())
}

/// A container that has the volume.
fn user(site: &Site, name: &str) -> Result<Option<String>> {
    let all = site.containers.list()?;
    let has = |record: &harness_container::Record| record.configuration.volumes().any(|volume| volume == name);
    Ok(all.into_iter().find(|(record, _)| has(record)).map(|(record, _)| record.name))
}
