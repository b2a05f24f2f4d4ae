use clap::Args;
use harness_container::Containers;
use harness_image::{Layers, Store};

use crate::{
    cli::Common,
    commands::print,
    drivers::{DRIVERS, Options},
    failure::{Failure, Result, images_failure},
    place::Place,
};

/// Remove images: the name, and with the last name the image and what only it used
#[derive(Debug, Args)]
pub struct RmiArgs {
    #[command(flatten)]
    pub common: Common,
    /// Remove it although containers were made from it, or it has several names
    #[arg(long, short)]
    pub force: bool,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

pub fn run(args: &RmiArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let store = Store::open(&place.images())?;
    let containers = Containers::open(place.containers())?.list()?;
    let mut deleted = false;
    for name in &args.images {
        let image = store.resolve(name).map_err(images_failure)?;
        let user = containers.iter().find(|(record, _)| record.image_id == image.id.to_string());
        if let Some((record, _)) = user.filter(|_| !args.force && image.references.len() < 2) {
            return Err(Failure::failed(format!(
                "image {name} is used by container {}; remove that first, or use --force",
                record.name
            )));
        }
        let removal = store.remove(name, args.force).map_err(images_failure)?;
        deleted |= !removal.deleted.is_empty();
        let untagged = removal.untagged.iter().map(|name| format!("Untagged: {name}\n"));
        let gone = removal.deleted.iter().map(|digest| format!("Deleted: {digest}\n"));
        print(&untagged.chain(gone).collect::<String>())?;
    }
    if deleted {
        prune_layers(&place, &store)?;
    }
    Ok(())
}

/// Takes the layers that no image needs any more away from every driver that has been used here.
fn prune_layers(place: &Place, store: &std::sync::Arc<Store>) -> Result {
    for entry in DRIVERS.iter().filter(|entry| place.driver(entry.name).exists()) {
        match entry.open(&place.driver(entry.name), &Options::new()) {
            Ok(driver) => _ = Layers::new(store.clone(), driver)?.prune(&[])?,
            // Somebody is at work there; `harness gc` and the next removal find the layers again.
            Err(error) => tracing::warn!(driver = entry.name, %error, "unused layers stay"),
        }
    }
    Ok(())
}
