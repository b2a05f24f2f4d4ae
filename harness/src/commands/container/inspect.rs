mod graph;
mod host;
mod image;
mod network;
mod record;

use clap::Args;
use harness_image::Store;
use serde_json::Value;

use super::size::Sizes;
use crate::{
    cli::Common,
    commands::format,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Tell all that is known of containers, images and volumes, as JSON
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub common: Common,
    /// A template instead of all: '{{.State.Pid}}', '{{json .Config.Env}}'; or json for one line
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Tell of containers what their layers take, too
    #[arg(long, short)]
    pub size: bool,
    /// Look for one kind of thing only
    #[arg(long = "type", value_name = "KIND", value_parser = ["container", "image", "volume"])]
    kind: Option<String>,
    /// Containers, images or volumes, by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl InspectArgs {
    /// The same that looks for one kind of thing only.
    pub fn of(self, kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), ..self }
    }
}

pub fn run(args: &InspectArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let mut sizes = args.size.then(|| Sizes::new(&site));
    format::show(args.format.as_deref(), &args.names, |name| find(&site, args, sizes.as_mut(), name))
}

fn find(site: &Site, args: &InspectArgs, sizes: Option<&mut Sizes<'_>>, name: &str) -> Result<Value> {
    let asked = |kind: &str| args.kind.as_deref().is_none_or(|asked| asked == kind);
    if asked("container") {
        match site.containers.find(name) {
            Ok(found) => {
                let size = sizes.map(|sizes| sizes.of(&found)).transpose()?;
                return record::container(site, &found, size);
            }
            Err(harness_container::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if asked("image") {
        let store = Store::open(&site.place.images())?;
        match store.resolve(name) {
            Ok(found) => return image::image(site, &store, &found),
            Err(harness_image::Error::NotFound { .. } | harness_image::Error::InvalidName { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if asked("volume") {
        match super::volume::found(site, name) {
            Err(harness_container::Error::NoVolume { .. }) => {}
            other => return Ok(other?),
        }
    }
    let kind = args.kind.as_deref().unwrap_or("container or image");
    Err(Failure::failed(format!("no such {kind}: {name}")))
}
