use std::time::SystemTime;

use clap::{ArgAction, Args};
use harness_container::{Frozen, Host, Record, Status};
use harness_image::{Configuration, Image, LayerBlob, Layers, Reference, Store, rfc3339};
use oci_spec::image::{Config, History, HistoryBuilder, ImageConfiguration};
use storage_driver::Timestamp;

use crate::{
    cli::Common,
    commands::{change::Changes, print},
    containers::Site,
    failure::{Failure, Result, images_failure},
    place::Place,
    say, signals,
};

/// Make an image of a container's changes; prints its id
///
/// The container's volumes are not part of it.
#[derive(Debug, Args)]
pub struct CommitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Who made it
    #[arg(long, short, value_name = "NAME")]
    author: Option<String>,
    /// Comment for the image's history
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    #[command(flatten)]
    changes: Changes,
    /// Freeze the container's processes meanwhile
    #[arg(
        long, short, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    pause: bool,
    /// The container, by name or id
    container: String,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
}

pub fn run(args: &CommitArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let (record, status) = site.look(&args.container)?;
    let names: Vec<Reference> = args.name.as_deref().map(Reference::parse).transpose()?.into_iter().collect();
    let store = Store::open(&site.place.images())?;
    // From here on no blob goes away.
    let held = store.lease()?;
    let image = store.resolve(&record.image_id).map_err(images_failure)?;
    // What is wrong with it is said before anything is done.
    let config = args.changes.on(&as_it_runs(&record, &image))?;
    let driver = site.open(&record)?;
    let layers = Layers::new(store.clone(), driver)?;
    let stop = signals::stop_flag()?;
    let frozen = if args.pause && status == Status::Running { freeze(&site, &record) } else { None };
    let exported = layers.export(&record.layer);
    drop(frozen);
    let (blob, _) = exported.map_err(images_failure)?;
    if signals::stopped(&stop) {
        return Err(Failure::failed("interrupted; no image was made"));
    }
    let config =
        Configuration { oci: described(args, &record, &image, config.oci.config().clone())?, docker: config.docker };
    let all: Vec<LayerBlob> = image.layers().iter().cloned().chain([blob]).collect();
    let made = store.put_tagged(config, all, &names).map_err(images_failure)?;
    drop(held);
    print(&format!("{}\n", made.id))
}

/// The image's configuration with what the container was given, as docker's containers have it.
fn as_it_runs(record: &Record, image: &Image) -> Configuration {
    let container = &record.configuration;
    let mut config = image.config.config().clone().unwrap_or_default();
    let some = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    let (entrypoint, command) = container.words.split_at(container.entrypoint.min(container.words.len()));
    config.set_entrypoint(some(entrypoint));
    config.set_cmd(some(command));
    config.set_env(Some(container.env.clone()));
    config.set_user(container.user.clone());
    config.set_working_dir(Some(container.workdir.clone()).filter(|dir| !dir.is_empty()));
    config.set_labels(Some(container.labels.clone().into_iter().collect()));
    let named = config.stop_signal().as_deref().and_then(|name| harness_container::signal::parse(name).ok());
    if named != container.stop_signal {
        config.set_stop_signal(container.stop_signal.map(|number| number.to_string()));
    }
    let mut oci = image.config.clone();
    oci.set_config(Some(config));
    let mut docker = image.docker.clone();
    docker.healthcheck.clone_from(&container.health);
    // What the image says to builds on it has been done, or is not for this one.
    docker.on_build = None;
    Configuration { oci, docker }
}

/// The image's document, with one more line of history.
fn described(args: &CommitArgs, record: &Record, image: &Image, config: Option<Config>) -> Result<ImageConfiguration> {
    let created = rfc3339(Timestamp::from_system(SystemTime::now()));
    let mut oci = image.config.clone();
    let mut history: Vec<History> = image.config.history().clone().unwrap_or_default();
    let told = history.iter().filter(|entry| entry.empty_layer() != Some(true)).count();
    // Layers that nothing is told of come first.
    for _ in told..image.layers().len() {
        history.insert(0, History::default());
    }
    let mut entry = HistoryBuilder::default().created(created.clone()).created_by(record.configuration.words.join(" "));
    if !args.message.is_empty() {
        entry = entry.comment(args.message.clone());
    }
    if let Some(author) = &args.author {
        entry = entry.author(author.clone());
    }
    history.push(entry.build()?);
    oci.set_history(Some(history));
    oci.set_created(Some(created));
    oci.set_author(args.author.clone());
    oci.set_config(config);
    Ok(oci)
}

/// Freezes the container's processes, but one that cannot be frozen is taken as it is. They go on whatever becomes of this
/// program.
fn freeze(site: &Site, record: &Record) -> Option<Frozen> {
    let frozen = site.supervisor(record).and_then(|supervisor| Ok(supervisor.freeze()?));
    frozen.unwrap_or_else(|failure| {
        say(&format!("container {} goes on meanwhile, since it cannot be paused: {failure}", record.name));
        None
    })
}
