//! Carrying a Dockerfile out.

mod arguments;
mod config;
mod configure;
mod copy;
mod epoch;
mod files;
mod hosts;
mod layer;
mod mounts;
mod network;
mod owner;
pub mod platform;
mod remote;
mod request;
mod run;
mod schedule;
mod stage;
mod step;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use harness_image::{CacheEntry, ChainId, Configuration, Image, Layers};
use storage_driver::Timestamp;
use storage_layer::Digest;

pub use self::arguments::global_args;
pub use self::config::{PREDEFINED, State};
use self::network::Networks;
pub use self::network::{BuildNetwork, is_network_of_a_build};
pub use self::request::{BuildRequest, Entitlements, RunLimits, Secret};
pub use self::step::Step;
use crate::{
    Error, Ignore, Images, NamedContexts, Observer, Result, StepReport, Stored, Warning, check,
    context::{Jail, read_most, read_regular},
    dockerfile::{Dockerfile, Stage},
    fetch::Downloads,
    parse_named,
    stages::{Origin, Plan, names_of_sources, plan},
};

/// Longer files are neither a Dockerfile nor a .dockerignore.
const MOST_TEXT: u64 = 16 << 20;

/// What was built.
#[derive(Debug)]
pub struct BuildOutcome {
    /// The image.
    pub image: Image,
    /// Every instruction that was carried out, in order.
    pub steps: Vec<StepReport>,
    /// What the steps that make layers came to, for a cache elsewhere.
    pub cache: Vec<CachedStep>,
}

/// A step of a build as the cache has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedStep {
    /// The step and all that it depends on.
    pub key: Digest,
    /// What its layer came to stand on.
    pub below: Option<ChainId>,
    /// What it made.
    pub entry: CacheEntry,
}

/// Builds images on one driver.
#[derive(Debug)]
pub struct Builder<'a> {
    layers: &'a Layers,
    images: &'a dyn Images,
}

/// What a build is begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildStart {
    /// All of it.
    Build,
    /// The checks alone, which do with what is there.
    Check,
}

/// What all stages of one build share.
struct Build<'a> {
    layers: &'a Layers,
    request: &'a BuildRequest,
    images: &'a dyn Images,
    /// Those that were asked for.
    known: Mutex<BTreeMap<String, Image>>,
    file: Dockerfile,
    context: Jail,
    ignore: Ignore,
    plan: Plan,
    global: BTreeMap<String, String>,
    now: Timestamp,
    /// No time of the image is later.
    epoch: Option<Timestamp>,
    /// How many steps there are; the triggers of a base add to it.
    total: AtomicUsize,
    /// How many have begun.
    begun: AtomicUsize,
    /// The states of finished stages.
    done: Mutex<BTreeMap<usize, State>>,
    /// A stage failed, so the others stop.
    halt: Arc<AtomicBool>,
    downloads: OnceLock<Downloads>,
    networks: Networks,
    /// What steps came to, by their keys.
    records: Mutex<BTreeMap<Digest, CachedStep>>,
}

impl<'a> Builder<'a> {
    /// On the driver of these layers, from images that their store has.
    #[must_use]
    pub const fn new(layers: &'a Layers) -> Self {
        Self { layers, images: &Stored }
    }

    /// From images that come from elsewhere.
    #[must_use]
    pub const fn with_images(self, images: &'a dyn Images) -> Self {
        Self { images, ..self }
    }

    /// Builds an image and names it.
    ///
    /// # Errors
    /// [`Error::Dockerfile`] with the place; [`Error::Run`] for a command that failed. Nothing that was being made
    /// stays; finished layers do, for the next build's cache.
    pub fn build(&self, request: &BuildRequest, observer: &mut dyn Observer) -> Result<BuildOutcome> {
        let build = Build::start(self.layers, self.images, BuildStart::Build, request)?;
        build.check()?.iter().for_each(|warning| observer.warning(&warning.to_string()));
        arguments::warn(&build, observer)?;
        let batch = self.layers.batch();
        let built = schedule::all(&build, observer);
        let (built, settled) = build.networks.give_back_during(observer, || {
            let built = built.and_then(|steps| build.finish(steps));
            // Also what a failed build has finished, for the next one's cache.
            (built, batch.settle())
        });
        let built = built?;
        settled?;
        Ok(built)
    }

    /// What the build checks find. Nothing is built, and no image is brought.
    ///
    /// # Errors
    /// [`Error::Dockerfile`] with the place; [`Error::Checks`] where the Dockerfile says that nothing may be found.
    pub fn check(&self, request: &BuildRequest) -> Result<Vec<Warning>> {
        Build::start(self.layers, &Stored, BuildStart::Check, request)?.check()
    }
}

impl<'a> Build<'a> {
    fn start(layers: &'a Layers, images: &'a dyn Images, start: BuildStart, request: &'a BuildRequest) -> Result<Self> {
        if let Some(other) = request.platforms.iter().find(|name| !platform::is_ours(name)) {
            return Err(Error::Platform { wanted: other.clone(), ours: platform::ours() });
        }
        let context = Jail::open(&request.context).map_err(Error::io("open the build context", &request.context))?;
        let path = request.dockerfile.clone().unwrap_or_else(|| request.context.join("Dockerfile"));
        let source = match &request.dockerfile_text {
            Some(text) => text.clone(),
            // It may be a pipe of the shell's.
            None => {
                fs::File::open(&path).and_then(|file| read_most(file, MOST_TEXT)).map_err(Error::io("read", &path))?
            }
        };
        let file_name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let file = parse_named(&file_name, &source)?;
        let ignore = read_ignore(&path, &context)?;
        let global = global_args(&file, &request.build_args, request.target.as_deref())?;
        let mut known = BTreeMap::new();
        let plan = plan(&file, request.target.as_deref(), &global, &request.contexts, &mut |stage, name| {
            if !known.contains_key(name) {
                match images.image(layers.store(), name) {
                    Ok(image) => _ = known.insert(name.to_owned(), image),
                    Err(_) if start == BuildStart::Check => {}
                    Err(error) => {
                        let why = format!("cannot start from {name}: {error}");
                        return Err(file.source.refuse(stage.base.span, why));
                    }
                }
            }
            known.get(name).map_or(Ok(Vec::new()), |image| sources_of_triggers(stage, image))
        })?;
        let total = plan.stages.iter().map(|number| file.stages[*number].instructions.len()).sum();
        let networks = Networks::new(request.networks.clone());
        networks.expect(network::wanted(plan.stages.iter().flat_map(|number| &file.stages[*number].instructions)));
        Ok(Self {
            layers,
            request,
            images,
            known: Mutex::new(known),
            file,
            context,
            ignore,
            plan,
            global,
            now: Timestamp::from_system(SystemTime::now()),
            epoch: epoch::read(&request.build_args)?,
            total: AtomicUsize::new(total),
            begun: AtomicUsize::new(0),
            done: Mutex::default(),
            halt: Arc::default(),
            downloads: OnceLock::new(),
            networks,
            records: Mutex::default(),
        })
    }

    /// A directory for something that is fetched.
    fn downloads(&self) -> Result<tempfile::TempDir> {
        if self.downloads.get().is_none() {
            let _ = self.downloads.set(Downloads::open(self.layers.store().root())?);
        }
        self.downloads.get().ok_or(Error::Stopped)?.make()
    }

    /// An image by a name whose variables are expanded.
    fn image(&self, name: &str) -> Result<Image, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = known.get(name) {
            return Ok(image.clone());
        }
        let image = self.images.image(self.layers.store(), name).map_err(|error| error.to_string())?;
        known.insert(name.to_owned(), image.clone());
        Ok(image)
    }

    fn check(&self) -> Result<Vec<Warning>> {
        let image = |name: &str| Some(State::of_image(&self.layers.store().resolve(name).ok()?));
        check::check(&self.file, &check::Known { request: self.request, ignore: &self.ignore, image: &image })
    }

    fn stopped(&self) -> Result<()> {
        let stop = self.request.cancel.load(Ordering::Relaxed) || self.halt.load(Ordering::Relaxed);
        if stop { Err(Error::Stopped) } else { Ok(()) }
    }

    /// When what does not make a layer came about: with the layer before it, so that a build whose layers are all cached
    /// makes the same image again.
    fn time(&self, state: &State) -> Timestamp {
        self.epoch.or(state.latest).unwrap_or(self.now)
    }

    fn finish_stage(&self, number: usize, state: State) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, state);
    }

    /// The end of an earlier stage that `stage` needs.
    fn stage(&self, stage: usize, needed: usize) -> Result<State, &'static str> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let known = done.get(&needed).filter(|_| self.plan.needs[stage].contains(&needed));
        known.cloned().ok_or("a stage cannot be named by a variable here; begin a stage with FROM and the variable")
    }

    fn finish(&self, steps: Vec<StepReport>) -> Result<BuildOutcome> {
        let last = self
            .plan
            .stages
            .last()
            .and_then(|number| self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(number));
        let mut state = last.ok_or(Error::Stopped)?;
        state.labels.extend(self.request.labels.clone());
        let created = self.time(&state);
        let (config, layers) = state.into_image(created)?;
        let image = self.layers.store().put_tagged(config, layers, &self.request.tags)?;
        let records = std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(BuildOutcome { image, steps, cache: records.into_values().collect() })
    }
}

/// What the triggers of an image take files of.
fn sources_of_triggers(stage: &Stage, image: &Image) -> Result<Vec<String>> {
    let mut sources = Vec::new();
    for text in image.docker.on_build.iter().flatten() {
        let file = stage::trigger(&stage.base.text, text)?;
        sources.extend(file.stages.iter().flat_map(|stage| &stage.instructions).flat_map(names_of_sources));
    }
    Ok(sources)
}

/// The images that the target of a Dockerfile starts from, by the names that its variables give them.
///
/// # Errors
/// [`Error::Dockerfile`] with the place; [`Error::NoStage`].
pub fn base_images(
    name: &str,
    source: &[u8],
    target: Option<&str>,
    build_args: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let file = parse_named(name, source)?;
    let global = global_args(&file, build_args, target)?;
    let plan = plan(&file, target, &global, &NamedContexts::new(), &mut |_, _| Ok(Vec::new()))?;
    let names = plan.stages.iter().filter_map(|number| match &plan.bases[*number] {
        Origin::Image(name) => Some(name.clone()),
        _ => None,
    });
    Ok(names.collect())
}

/// What the instructions of a Dockerfile that start from nothing and make no layer come to; `name` is for messages.
///
/// # Errors
/// [`Error::Dockerfile`], also for instructions that would make a layer.
pub fn configure(name: &str, source: &[u8]) -> Result<Configuration> {
    configure_from(State::scratch(), name, source)
}

/// As [`configure()`], on top of a configuration; of that one's history nothing is kept.
///
/// # Errors
/// As [`configure()`].
pub fn configure_on(base: &Configuration, name: &str, source: &[u8]) -> Result<Configuration> {
    let mut state = State::scratch();
    state.take_over(base.oci.config().as_ref(), &base.docker);
    configure_from(state, name, source)
}

fn configure_from(mut state: State, name: &str, source: &[u8]) -> Result<Configuration> {
    let file = parse_named(name, source)?;
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        let step = Step { source: &file.source, escape: file.directives.escape, instruction };
        state.configure(step)?;
    }
    let now = epoch::read(&BTreeMap::new())?.unwrap_or_else(|| Timestamp::from_system(SystemTime::now()));
    Ok(state.into_image(now)?.0)
}

/// `NAME.dockerignore` beside the Dockerfile, else `.dockerignore` in the context.
fn read_ignore(dockerfile: &Path, context: &Jail) -> Result<Ignore> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    first_ignore(Some(PathBuf::from(own)), context)
}

/// The file given if it is there, else `.dockerignore` in a context.
fn first_ignore(own: Option<PathBuf>, context: &Jail) -> Result<Ignore> {
    let shared = context.root().join(".dockerignore");
    // A link of the context's does not lead out of it; one that leads nowhere is an error.
    let real = match context.resolve(Path::new(".dockerignore")) {
        Err(error) if shared.is_symlink() => return Err(Error::io("read", shared)(error)),
        Err(_) => shared,
        Ok(real) => real,
    };
    for path in own.into_iter().chain([real]) {
        match read_regular(&path, MOST_TEXT) {
            Ok(content) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                return Ok(Ignore::parse(&name, &content)?);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
    Ok(Ignore::default())
}
