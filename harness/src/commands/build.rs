//! The arguments of `build`, and what it does.

mod attestations;
mod cache;
mod call;
mod metadata;
mod output;
mod progress;
mod source;
pub mod words;

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use clap::{Args, ValueEnum};
use harness_builder::{BuildOutcome, BuildRequest, Builder, Entitlements, Error, NamedContexts, RunLimits};
use harness_image::Reference;
use harness_network::{ExtraHost, parse_add_host};

use self::{
    cache::{CacheFrom, CacheTo},
    call::Call,
    output::{Destinations, Output},
    progress::{Style, Teller},
    source::{Fetching, Named, Sources, sources},
};
use crate::{
    cli::{Common, OneDriver},
    commands::{container::ulimit, print, transfer::RegistryArgs},
    engine::{Session, bases::Everywhere},
    failure::{Failure, Result},
    place::Place,
    say, size,
};

/// Build an image from a Dockerfile
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub driver: OneDriver,
    /// The build context: a directory; a git repository, as URL#REFERENCE:DIRECTORY; an archive or a Dockerfile at an URL;
    /// - for one of these two on standard input
    #[arg(value_name = "PATH|URL|-")]
    pub context: PathBuf,
    /// The Dockerfile, also at an URL; - for standard input [default: PATH/Dockerfile]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name, and optionally a tag, for the image; may be given several times
    #[arg(long, short, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,
    /// What a name means in FROM, --from and from= instead of a stage or an image: a directory, a repository or an
    /// archive at an URL, oci-layout://DIR[:TAG] or docker-image://NAME
    #[arg(long, value_name = "NAME=WHERE", value_parser = words::context)]
    pub build_context: Vec<(String, words::Context)>,
    /// Value of an ARG; without =VALUE it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Label for the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// What to do with the Dockerfile instead of a build
    #[arg(long, value_name = "METHOD", default_value = "build")]
    pub call: Call,
    /// Only look for likely mistakes, by BuildKit's build checks; status 1 when there are any; as --call check
    #[arg(long)]
    pub check: bool,
    /// Run every instruction, whatever the cache has
    #[arg(long)]
    pub no_cache: bool,
    /// Run every instruction of these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// A build cache to look into beside the store's own: a directory, or an image of a registry
    #[arg(long, value_name = "NAME|type=local,src=DIR")]
    pub cache_from: Vec<String>,
    /// Where what the build has come to is written for later builds elsewhere; mode=max also of stages whose layers the
    /// image does not have
    #[arg(long, value_name = "NAME|type=local,dest=DIR[,mode=max]")]
    pub cache_to: Vec<String>,
    /// A host that RUN steps know by name; host-gateway is this machine's address on their network
    #[arg(long, value_name = "HOST:ADDRESS|HOST:host-gateway", value_parser = parse_add_host)]
    pub add_host: Vec<ExtraHost>,
    /// What RUN steps may ask for: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT", value_parser = ["network.host", "security.insecure"])]
    pub allow: Vec<String>,
    /// How many stages may be built at the same time [default: the number of processors]
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Print the image's id alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write what was made to this file, as JSON: digests and names
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Memory limit of RUN steps, such as 512m
    #[arg(long, short, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Size of /dev/shm of RUN steps, such as 1g [default: 64m]
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// A resource limit of RUN steps, as ulimit has them
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// The control group in which RUN steps have theirs, instead of the program's own
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<PathBuf>,
    /// Network of RUN steps: bridge, none (loopback only) or host; default is bridge where that can be had, else none
    #[arg(long, value_name = "NETWORK", default_value = "default", value_parser = ["default", "bridge", "none", "host"])]
    pub network: String,
    /// Where the result goes: type=local, tar, oci, docker, image, registry or cacheonly [default: an image of the store]
    #[arg(long, short, value_name = "DIR|type=TYPE[,dest=PATH]")]
    pub output: Vec<String>,
    /// Give the image to the registries of its names, too, as --output type=registry
    #[arg(long)]
    pub push: bool,
    /// Make an image of the store, which is the default, also where --output names something else
    #[arg(long)]
    pub load: bool,
    /// Attestations, which are not made: type=TYPE,disabled=true
    #[arg(long, value_name = "type=TYPE,disabled=true")]
    pub attest: Vec<String>,
    /// Attestations of how the image came about, which are not made: false
    #[arg(long, value_name = "false")]
    pub provenance: Option<String>,
    /// Attestations of what the image holds, which are not made: false
    #[arg(long, value_name = "false")]
    pub sbom: Option<String>,
    /// How progress is told [default: $BUILDKIT_PROGRESS, or auto]
    #[arg(long, value_name = "STYLE")]
    pub progress: Option<Style>,
    /// What docker's older builder could be told and what is so in any case: no container and no half-made layer is left
    #[arg(long, alias = "force-rm", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rm: Option<bool>,
    /// The platform to build for, which can be this machine's only
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Vec<String>,
    /// Ask registries for newer base images, also where there is one already
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub pull: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// A file, or a variable of the environment, for RUN --mount=type=secret
    #[arg(long, value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secret: Vec<String>,
    /// A socket of an SSH agent for RUN --mount=type=ssh [default socket: $SSH_AUTH_SOCK]
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
}

pub fn run(args: &BuildArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let outputs = Output::all(args)?;
    let names = names(args, &outputs)?;
    if names.is_empty() && outputs.iter().any(|output| matches!(output, Output::Registry(_))) {
        return Err(Failure::usage("the image has no name to push it by; give it one with --tag"));
    }
    attestations::refuse(args)?;
    if args.rm == Some(false) {
        return Err(Failure::usage("--rm=false cannot be met: containers of RUN are never kept"));
    }
    let caches = args.cache_from.iter().map(|cache| CacheFrom::read(cache)).collect::<Result<Vec<_>>>()?;
    let kept = args.cache_to.iter().map(|cache| CacheTo::read(cache)).collect::<Result<Vec<_>>>()?;
    let fetching = Fetching::new(args, &place)?;
    let sources = sources(args, &fetching)?;
    let mut request = request(args, &place, &sources, fetching.cancel()?)?;
    let call = if args.check { Call::Check } else { args.call };
    if matches!(call, Call::Outline | Call::Targets) {
        return call::describe(call, &request);
    }
    let is_image = outputs.is_empty() || outputs.iter().any(Output::is_image);
    if is_image {
        request.tags.clone_from(&names);
    }
    let session = Session::open(&place, args.driver.driver.as_deref(), &args.driver.driver_options)?;
    let _held = session.store.lease()?;
    let images = Everywhere { registries: args.registry.options(), anew: args.pull };
    let builder = Builder::new(&session.layers).with_images(&images);
    if call == Call::Check {
        return call::check(&session, &builder, &request);
    }
    caches.iter().try_for_each(|cache| cache.bring(&session.store, &args.registry))?;
    let mut teller = Teller::new(style(args)?);
    let mut named = Named::default();
    let built = named.bring(args, &session, &fetching).and_then(|contexts| {
        request.contexts = contexts;
        builder.build(&request, &mut teller).inspect_err(|_| teller.failed()).map_err(failed)
    });
    named.end(&session)?;
    let built = built?;
    kept.iter().try_for_each(|cache| cache.write(&session.store, &built, &args.registry))?;
    deliver(args, &session, &built, (&outputs, &names))?;
    // It was made for what is written elsewhere only.
    if !is_image && built.image.references.is_empty() {
        session.store.remove(&built.image.id.to_string(), false)?;
    }
    if !args.quiet {
        request.tags.iter().for_each(|tag| say(&format!("named {tag}")));
    }
    if outputs.iter().any(Output::takes_stdout) {
        return Ok(());
    }
    print(&format!("{}\n", built.image.id))
}

/// What the options say, or else the environment, as with buildx.
fn style(args: &BuildArgs) -> Result<Style> {
    let of_environment = || std::env::var("BUILDKIT_PROGRESS").ok().filter(|text| !text.is_empty());
    match (args.quiet, args.progress) {
        (true, _) => Ok(Style::Quiet),
        (false, Some(style)) => Ok(style),
        (false, None) => of_environment().map_or(Ok(Style::Auto), |text| {
            Style::from_str(&text, true)
                .map_err(|_| Failure::usage(format!("BUILDKIT_PROGRESS is auto, plain, tty or quiet, not {text:?}")))
        }),
    }
}

/// Brings the result to where it is wanted, and writes what is to be known of it.
fn deliver(
    args: &BuildArgs,
    session: &Session,
    built: &BuildOutcome,
    (outputs, names): (&[Output], &[Reference]),
) -> Result {
    if let Some(path) = &args.iidfile {
        metadata::write_id(path, &built.image)?;
    }
    let to = Destinations { session, names, registry: &args.registry, quiet: args.quiet };
    let mut pushed = None;
    for output in outputs {
        pushed = output.write(&to, built)?.or(pushed);
    }
    let Some(path) = &args.metadata_file else { return Ok(()) };
    let is_image = outputs.is_empty() || outputs.iter().any(Output::is_image);
    metadata::write(path, pushed.as_ref().or(is_image.then_some(&built.image)), names)
}

fn request(args: &BuildArgs, place: &Place, sources: &Sources, cancel: Arc<AtomicBool>) -> Result<BuildRequest> {
    let allows = |name: &str| args.allow.iter().any(|allowed| allowed == name);
    let allow = Entitlements { host_network: allows("network.host"), insecure: allows("security.insecure") };
    Ok(BuildRequest {
        context: sources.context.clone(),
        dockerfile: Some(sources.dockerfile.clone()),
        dockerfile_text: sources.text.clone(),
        hosts: args.add_host.clone(),
        allow,
        no_cache_stages: args.no_cache_filter.clone(),
        // As with buildx an empty name is none, for scripts that have a variable there.
        target: args.target.clone().filter(|name| !name.is_empty()),
        platforms: platforms(args),
        build_args: args.build_arg.iter().filter_map(|pair| words::argument(pair)).collect(),
        labels: args.label.iter().map(|pair| words::label(pair)).collect::<Result<_>>()?,
        contexts: NamedContexts::new(),
        tags: Vec::new(),
        no_cache: args.no_cache,
        limits: limits(args)?,
        network: words::network(&args.network),
        networks: Some(place.networks()),
        secrets: args.secret.iter().map(|secret| words::secret(secret)).collect::<Result<_>>()?,
        ssh: args.ssh.iter().map(|agent| words::agent(agent)).collect::<Result<_>>()?,
        settle_once: false,
        jobs: args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)),
        cancel,
    })
}

/// `local` is this machine's, as with buildx.
fn platforms(args: &BuildArgs) -> Vec<String> {
    let all = args.platform.iter().flat_map(|list| list.split(','));
    all.filter(|platform| !matches!(*platform, "" | "local")).map(str::to_owned).collect()
}

fn limits(args: &BuildArgs) -> Result<RunLimits> {
    let size = |text: &Option<String>| text.as_deref().map(size::parse).transpose().map_err(Failure::usage);
    Ok(RunLimits {
        memory: size(&args.memory)?,
        shm_size: size(&args.shm_size)?,
        ulimits: args.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_>>()?,
        cgroup_parent: args.cgroup_parent.clone(),
    })
}

/// Those of `--tag`, and those that outputs give.
fn names(args: &BuildArgs, outputs: &[Output]) -> Result<Vec<Reference>> {
    let mut names = args.tag.iter().map(|name| Reference::parse(name)).collect::<harness_image::Result<Vec<_>>>()?;
    for name in outputs.iter().flat_map(Output::names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// What is wrong with the Dockerfile or what it runs is status 1; all else is about the environment.
fn failed(error: Error) -> Failure {
    match error {
        Error::Dockerfile(_)
        | Error::Run { .. }
        | Error::NoStage { .. }
        | Error::Checks { .. }
        | Error::Platform { .. } => Failure::Failed(error.into()),
        Error::Stopped => Failure::Status(130, Some(error.into())),
        other => other.into(),
    }
}
