use std::{fs::OpenOptions, io::Write, sync::Arc, time::SystemTime};

use anyhow::Context;
use clap::Args;
use harness_builder::Images;
use harness_container::{Configuration, Held, Record};
use harness_image::{Image, PrepareOptions, Purpose, Reference};
use harness_transfer::{Options, Platform};
use storage_driver::{StorageDriver, Timestamp};

use super::options::ContainerOptions;
use crate::{
    cli::{Common, OneDriver},
    commands::print,
    containers::Site,
    engine::{Session, bases},
    failure::{Failure, Result},
    names,
    place::Place,
};

/// Make a container without starting it; prints its id
#[derive(Debug, Args)]
// -h is docker's --hostname.
#[command(disable_help_flag = true, override_usage = "harness create [OPTIONS] IMAGE [COMMAND]...")]
pub struct CreateArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub driver: OneDriver,
    #[command(flatten)]
    pub options: ContainerOptions,
}

pub fn run(args: &CreateArgs) -> Result {
    let (made, _) = make(&args.common, &args.driver, &args.options, true).map_err(not_made)?;
    print(&format!("{}\n", made.record.id))
}

/// A container that was just made, and the right to look after it.
pub struct Made {
    pub site: Site,
    pub record: Record,
    pub held: Held,
}

/// Makes a container's layer and its record. `in_front` says whether a command will stay with it, as far as is known.
pub fn make(
    common: &Common,
    driver: &OneDriver,
    options: &ContainerOptions,
    in_front: bool,
) -> Result<(Made, Arc<dyn StorageDriver>)> {
    let place = Place::choose(common.root.as_deref());
    let name = options.image()?;
    let session = Session::open(&place, driver.driver.as_deref(), &driver.driver_options)?;
    let site = Site::open(place)?;
    let image = image(&session, name, options)?;
    // All that can be wrong is said before anything is made.
    let configuration = Configuration { in_front, ..options.configuration(&image, &site)? };
    let size = options.layer_size()?;
    let parent = session.layers.ensure(&image)?;
    // What goes with the container's end need not outlive the machine's.
    let prepare =
        PrepareOptions { purpose: Purpose::Container, size, scratch: options.rm, ..PrepareOptions::default() };
    let layer = session.layers.prepare(parent.as_ref(), &prepare)?;
    let mut record = Record {
        id: layer.to_string(),
        name: options.name.clone().unwrap_or_else(|| names::of(layer.as_str(), 0)),
        image: name.to_owned(),
        image_id: image.id.to_string(),
        driver: session.driver().name().to_owned(),
        driver_options: driver.driver_options.clone(),
        layer,
        auto_remove: options.rm,
        created: Timestamp::from_system(SystemTime::now()),
        configuration,
    };
    let recorded = enter(&site, &mut record, options.name.is_none()).and_then(|held| {
        write_id(options, &record)?;
        Ok(held)
    });
    let held = recorded.inspect_err(|_| _ = session.layers.discard(&record.layer))?;
    Ok((Made { site, record, held }, session.driver().clone()))
}

/// Puts a container into the store; one that nobody named gets another name where the first is taken.
fn enter(site: &Site, record: &mut Record, any_name: bool) -> Result<Held> {
    /// Of a quarter of a million names.
    const ATTEMPTS: u32 = 64;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match site.containers.create(record) {
            Err(harness_container::Error::NameTaken { .. }) if any_name && attempt < ATTEMPTS => {
                record.name = names::of(&record.id, attempt);
            }
            other => return other.map_err(|error| Failure::usage(error.to_string())),
        }
    }
}

fn image(session: &Session, name: &str, options: &ContainerOptions) -> Result<Image> {
    let (store, wanted, pull) = (&session.store, &options.platform, options.pull.as_str());
    let pulled = |anew| {
        let registries = Options { platform: wanted.clone(), ..Options::default() };
        bases::Everywhere { registries, anew }.image(store, name)
    };
    let pulled_anew = || pulled(true).map_err(|error| Failure::failed(error.to_string()));
    let image = match bases::resolve(store, name) {
        _ if pull == "always" => pulled_anew()?,
        // A misspelt name of an image that is here is asked for far away, too; what it may have meant is said all the same.
        Err(missing @ harness_image::Error::NotFound { .. }) if pull == "missing" && Reference::parse(name).is_ok() => {
            pulled(false).map_err(|error| Failure::failed(format!("{missing}; {error}")))?
        }
        // Its name may stand for several, of which another one is here.
        Ok(other) if pull == "missing" && !is_for(&other, wanted.as_ref()) => pulled_anew()?,
        found => found?,
    };
    match wanted {
        Some(wanted) if !is_for(&image, Some(wanted)) => {
            Err(Failure::failed(format!("the image {name} is for {}, not for {wanted}", platform(&image))))
        }
        _ => Ok(image),
    }
}

fn platform(image: &Image) -> Platform {
    let (os, architecture) = (image.config.os().to_string(), image.config.architecture().to_string());
    Platform { os, architecture, variant: image.config.variant().clone() }
}

fn is_for(image: &Image, wanted: Option<&Platform>) -> bool {
    wanted.is_none_or(|wanted| wanted.accepts(&platform(image)).is_some())
}

fn write_id(options: &ContainerOptions, record: &Record) -> Result {
    let Some(path) = &options.cidfile else { return Ok(()) };
    let write = || OpenOptions::new().write(true).create_new(true).open(path)?.write_all(record.id.as_bytes());
    Ok(write().with_context(|| format!("cannot write the container's id to {}", path.display()))?)
}

/// docker's status for a container that could not be made.
pub fn not_made(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(error) | Failure::Environment(error) | Failure::Internal(error) => {
            Failure::Status(125, Some(error))
        }
        status @ Failure::Status(..) => status,
    }
}
