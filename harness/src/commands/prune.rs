//! What is not used goes: `container prune`, `image prune`, `volume prune` and `system prune`, as docker has them.

mod conditions;
mod things;

use std::io::{self, BufRead};

use clap::Args;
use harness_image::Store;
use storage_driver::Bytes;

use self::conditions::Conditions;
use super::print;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    say,
};

/// Which of the things that are not used go.
#[derive(Debug, Args)]
struct Asked {
    /// Only those of which this holds: until=TIME, label=NAME[=VALUE] or label!=NAME[=VALUE]
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
}

/// Remove all containers that do not run
#[derive(Debug, Args)]
pub struct ContainersArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    asked: Asked,
}

/// Remove images without a name that no container was made from; with --all those with a name, too
#[derive(Debug, Args)]
pub struct ImagesArgs {
    #[command(flatten)]
    pub common: Common,
    /// Those with a name, too
    #[arg(long, short)]
    all: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Remove what is not used: containers that do not run, images without a name, and the build cache
///
/// What a crash left behind is another matter: `harness gc` removes that.
#[derive(Debug, Args)]
pub struct SystemArgs {
    #[command(flatten)]
    pub common: Common,
    /// All images that no container was made from, not only those without a name, and the build cache of images that stay
    #[arg(long, short)]
    all: bool,
    /// Volumes without a name, too, that no container has
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Remove the build cache that no image shares; with --all that, too
#[derive(Debug, Args)]
pub struct BuilderArgs {
    #[command(flatten)]
    pub common: Common,
    /// What images share, too
    #[arg(long, short)]
    all: bool,
    #[command(flatten)]
    asked: Asked,
}

pub fn containers(args: &ContainersArgs) -> Result {
    let conditions = Conditions::read(&args.asked.filter)?;
    confirm(args.asked.force, &["all containers that do not run"])?;
    let site = site(&args.common)?;
    let mut freed = Bytes(0);
    let removed = things::containers(&site, &conditions, &mut freed);
    reclaimed(freed)?;
    removed
}

pub fn images(args: &ImagesArgs) -> Result {
    let conditions = Conditions::read(&args.asked.filter)?;
    let what = if args.all { "all images that no container was made from" } else { "all images without a name" };
    confirm(args.asked.force, &[what])?;
    let site = site(&args.common)?;
    let store = Store::open(&site.place.images())?;
    let mut freed = Bytes(0);
    if things::images(&site, &store, args.all, &conditions, &mut freed)? {
        things::unused_layers(&site.place, &store, &mut freed)?;
    }
    reclaimed(freed)
}

pub fn builder(args: &BuilderArgs) -> Result {
    let conditions = Conditions::read(&args.asked.filter)?;
    confirm(args.asked.force, &[cache_named(args.all)])?;
    let place = Place::choose(args.common.root.as_deref());
    let store = Store::open(&place.images())?;
    let mut freed = Bytes(0);
    if things::cache(&store, args.all, &conditions)? {
        things::unused_layers(&place, &store, &mut freed)?;
    }
    reclaimed(freed)
}

const fn cache_named(all: bool) -> &'static str {
    if all { "all of the build cache" } else { "the build cache that no image shares" }
}

pub fn system(args: &SystemArgs) -> Result {
    let conditions = Conditions::read(&args.asked.filter)?;
    let volumes = args.volumes.then_some("all volumes without a name that no container has");
    let cache = cache_named(args.all);
    let images = match args.all {
        true => "all images that no container was made from",
        false => "all images without a name that no container was made from",
    };
    let what: Vec<_> = ["all containers that do not run"].into_iter().chain(volumes).chain([images, cache]).collect();
    confirm(args.asked.force, &what)?;
    let site = site(&args.common)?;
    let store = Store::open(&site.place.images())?;
    let mut freed = Bytes(0);
    let removed = things::containers(&site, &conditions, &mut freed);
    if args.volumes {
        things::volumes(&site, false, &conditions, &mut freed)?;
    }
    let mut any = things::images(&site, &store, args.all, &conditions, &mut freed)?;
    any |= things::cache(&store, args.all, &conditions)?;
    if any {
        things::unused_layers(&site.place, &store, &mut freed)?;
    }
    reclaimed(freed)?;
    removed
}

/// `volume prune`.
pub fn volumes(site: &Site, all: bool, force: bool, filter: &[String]) -> Result {
    let conditions = Conditions::read(filter)?;
    let what =
        if all { "all volumes that no container has" } else { "all volumes without a name that no container has" };
    confirm(force, &[what])?;
    let mut freed = Bytes(0);
    things::volumes(site, all, &conditions, &mut freed)?;
    reclaimed(freed)
}

fn site(common: &Common) -> Result<Site> {
    Site::open(Place::choose(common.root.as_deref()))
}

/// Asks whether all this is meant, on the terminal or whatever the answer comes from.
fn confirm(force: bool, what: &[&str]) -> Result {
    if force {
        return Ok(());
    }
    let list: String = what.iter().map(|one| format!("  - {one}\n")).collect();
    print(&format!("WARNING! This will remove:\n{list}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was removed, as nobody said yes; --force does not ask")),
    }
}

fn reclaimed(freed: Bytes) -> Result {
    print(&format!("Total reclaimed space: {freed}\n"))
}

/// Tells what went, under a header where there is any.
fn told(header: &str, lines: &[String]) -> Result {
    if lines.is_empty() {
        return Ok(());
    }
    print(&format!("{header}\n{}\n\n", lines.join("\n")))
}

/// The last failure is said by who called this.
fn keep(failed: &mut Option<Failure>, failure: Failure) {
    if let Some(earlier) = failed.replace(failure) {
        say(&earlier.to_string());
    }
}
