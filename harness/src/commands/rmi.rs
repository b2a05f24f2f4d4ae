use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use harness_container::Containers;
use harness_image::{Layers, Store};
use storage_driver::StorageDriver;

use crate::{
    cli::Common,
    commands::print,
    drivers::{DRIVERS, Entry, Options},
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
    /// Return when the image is gone: the layers that only it used go in the background, and their room is free a little later
    #[arg(long)]
    pub no_wait: bool,
    /// Be what goes on in the background
    #[arg(long, hide = true, conflicts_with_all = ["images", "no_wait"])]
    pub unused_layers: bool,
    /// Images, by name or id
    #[arg(required_unless_present = "unused_layers", value_name = "IMAGE")]
    pub images: Vec<String>,
}

pub fn run(args: &RmiArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let store = Store::open(&place.images())?;
    if args.unused_layers {
        // The terminal's hang-up and its keys are not for what is done in the background.
        nix::unistd::setsid().context("cannot begin a session")?;
        return prune_layers(&place, &store, &|entry| entry.open_in_turn(&place, &Options::new()));
    }
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
    match deleted {
        false => Ok(()),
        true if args.no_wait => prune_later(&place),
        true => prune_layers(&place, &store, &|entry| entry.open(&place.driver(entry.name), &Options::new())),
    }
}

/// Has another process take the layers away. If it is killed they are what they are anyway: layers that no image needs, which
/// the next removal takes, or `harness gc`.
fn prune_later(place: &Place) -> Result {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(own);
    command.args(["rmi", "--unused-layers", "--root"]).arg(place.path()).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It is not waited for: when this program ends, init is its parent.
    command.spawn().context("cannot start what removes the layers")?;
    Ok(())
}

/// Takes the layers that no image needs any more away from every driver that has been used here.
pub fn prune_layers(
    place: &Place,
    store: &Arc<Store>,
    open: &dyn Fn(&Entry) -> storage_driver::Result<Arc<dyn StorageDriver>>,
) -> Result {
    for entry in DRIVERS.iter().filter(|entry| place.driver(entry.name).exists()) {
        match open(entry) {
            Ok(driver) => _ = Layers::new(store.clone(), driver)?.prune(&[])?,
            // Somebody is at work there; `harness gc` and the next removal find the layers again.
            Err(error) => tracing::warn!(driver = entry.name, %error, "unused layers stay"),
        }
    }
    Ok(())
}
