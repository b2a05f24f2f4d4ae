//! `volume ls`.

use std::collections::BTreeMap;

use clap::Args;
use harness_container::Volume;
use serde_json::json;

use crate::{
    commands::{
        filters::{Label, boolean, pair},
        format::{self, List},
        print,
    },
    containers::Site,
    failure::{Failure, Result},
    nearest,
    template::Value,
};

/// What is listed, and how.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print names alone
    #[arg(long, short)]
    quiet: bool,
    /// Only volumes of which this holds: name=PART, label=NAME[=VALUE], driver=local or dangling=true|false
    #[arg(long, short, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// How to print: table, json (one object a line), or a template such as '{{.Name}}: {{.Mountpoint}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    format: String,
}

const HEADERS: [(&str, &str); 7] = [
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Scope", "SCOPE"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
];

/// What a volume has to be.
enum Filter {
    Name(String),
    Label(Label),
    Driver(String),
    /// No container has it.
    Dangling(bool),
}

impl Filter {
    fn read(text: &str) -> Result<Self> {
        let (name, value) = pair(text)?;
        match name {
            "name" => Ok(Self::Name(value.to_owned())),
            "label" => Ok(Self::Label(Label::read(value))),
            "driver" => Ok(Self::Driver(value.to_owned())),
            "dangling" => Ok(Self::Dangling(boolean(name, value)?)),
            _ => Err(Failure::usage(nearest::unknown("filter", name, ["name", "label", "driver", "dangling"]))),
        }
    }

    fn takes(&self, volume: &Volume, links: usize) -> bool {
        match self {
            Self::Name(name) => volume.name.contains(name.as_str()),
            Self::Label(label) => label.is_among(&volume.labels),
            Self::Driver(driver) => driver == "local",
            Self::Dangling(dangling) => (links == 0) == *dangling,
        }
    }
}

pub fn run(site: &Site, args: &ListArgs) -> Result {
    let filters = args.filter.iter().map(|text| Filter::read(text)).collect::<Result<Vec<_>>>()?;
    let links = links(site)?;
    let of = |volume: &Volume| links.get(&volume.name).copied().unwrap_or_default();
    let mut volumes = site.volumes.list()?;
    volumes.retain(|volume| filters.iter().all(|filter| filter.takes(volume, of(volume))));
    if args.quiet {
        return print(&volumes.iter().map(|volume| format!("{}\n", volume.name)).collect::<String>());
    }
    let rows: Vec<_> = volumes.iter().map(|volume| fields(site, volume, of(volume))).collect();
    print(&List { format: &args.format, table: r"{{.Driver}}\t{{.Name}}", headers: &HEADERS }.text(&rows)?)
}

/// How many containers have each volume.
pub fn links(site: &Site) -> Result<BTreeMap<String, usize>> {
    let mut links = BTreeMap::new();
    for (record, _) in site.containers.list()? {
        for name in record.configuration.volumes() {
            *links.entry(name.to_owned()).or_default() += 1;
        }
    }
    Ok(links)
}

fn fields(site: &Site, volume: &Volume, links: usize) -> Value {
    let row = json!({
        "Name": volume.name, "Driver": "local", "Scope": "local", "Mountpoint": site.volumes.data(&volume.name),
        "Labels": format::labels(&volume.labels), "Links": links.to_string(),
        // As docker, which counts it for `system df` alone.
        "Size": "N/A", "Availability": "N/A", "Group": "N/A", "Status": "N/A",
    });
    format::with_labels(&row, &volume.labels)
}
