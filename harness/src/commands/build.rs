//! The arguments of `build`, and what it does.

mod output;
mod progress;
mod source;
pub mod words;

use std::{
    net::IpAddr,
    num::NonZero,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context;
use clap::Args;
use harness_builder::{BuildRequest, Builder, Entitlements, Error, NamedContexts, RunLimits};
use harness_image::Reference;

use self::{
    output::Output,
    progress::{Style, Teller},
    source::{Fetching, Named, Sources, sources},
};
use crate::{
    cli::{Common, OneDriver},
    commands::{print, transfer::RegistryArgs},
    engine::{Session, bases, bases::Everywhere},
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
    /// Only look for likely mistakes, by BuildKit's build checks; status 1 when there are any
    #[arg(long)]
    pub check: bool,
    /// Run every instruction, whatever the cache has
    #[arg(long)]
    pub no_cache: bool,
    /// Run every instruction of these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// A host that RUN steps know by name
    #[arg(long, value_name = "HOST:ADDRESS", value_parser = words::host)]
    pub add_host: Vec<(String, IpAddr)>,
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
    /// Memory limit of RUN steps, such as 512m
    #[arg(long, short, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Network of RUN steps: bridge, none (loopback only) or host; default is bridge where that can be had, else none
    #[arg(long, value_name = "NETWORK", default_value = "default", value_parser = ["default", "bridge", "none", "host"])]
    pub network: String,
    /// Where the result goes: type=local, tar, oci, docker or image [default: an image of the store]
    #[arg(long, short, value_name = "DIR|type=TYPE[,dest=PATH]")]
    pub output: Vec<String>,
    /// How progress is told
    #[arg(long, value_name = "STYLE", default_value = "auto")]
    pub progress: Style,
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
    let outputs = args.output.iter().map(|output| Output::read(output)).collect::<Result<Vec<_>>>()?;
    let fetching = Fetching::new(args, &place)?;
    let sources = sources(args, &fetching)?;
    let mut request = request(args, &place, &sources, fetching.cancel()?)?;
    let names = names(args, &outputs)?;
    let is_image = outputs.is_empty() || outputs.iter().any(|output| matches!(output, Output::Image(_)));
    if is_image {
        request.tags.clone_from(&names);
    }
    let session = Session::open(&place, args.driver.driver.as_deref(), &args.driver.driver_options)?;
    let _held = session.store.lease()?;
    let images = Everywhere { registries: args.registry.options(), anew: args.pull };
    let builder = Builder::new(&session.layers).with_images(&images);
    if args.check {
        return check(&session, &builder, &request);
    }
    let mut teller = Teller::new(if args.quiet { Style::Quiet } else { args.progress });
    let mut named = Named::default();
    let built = named.bring(args, &session, &fetching).and_then(|contexts| {
        request.contexts = contexts;
        builder.build(&request, &mut teller).inspect_err(|_| teller.failed()).map_err(failed)
    });
    named.end(&session)?;
    let built = built?;
    if let Some(path) = &args.iidfile {
        std::fs::write(path, built.image.id.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    outputs.iter().try_for_each(|output| output.write(&session, &built, &names))?;
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

fn request(args: &BuildArgs, place: &Place, sources: &Sources, cancel: Arc<AtomicBool>) -> Result<BuildRequest> {
    let allows = |name: &str| args.allow.iter().any(|allowed| allowed == name);
    let allow = Entitlements { host_network: allows("network.host"), insecure: allows("security.insecure") };
    let memory = args.memory.as_deref().map(size::parse).transpose().map_err(Failure::usage)?;
    Ok(BuildRequest {
        context: sources.context.clone(),
        dockerfile: Some(sources.dockerfile.clone()),
        dockerfile_text: sources.text.clone(),
        hosts: args.add_host.clone(),
        allow,
        no_cache_stages: args.no_cache_filter.clone(),
        target: args.target.clone(),
        platforms: args.platform.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        build_args: args.build_arg.iter().filter_map(|pair| words::argument(pair)).collect(),
        labels: args.label.iter().map(|pair| words::label(pair)).collect::<Result<_>>()?,
        contexts: NamedContexts::new(),
        tags: Vec::new(),
        no_cache: args.no_cache,
        limits: RunLimits { memory },
        network: words::network(&args.network),
        networks: Some(place.networks()),
        secrets: args.secret.iter().map(|secret| words::secret(secret)).collect::<Result<_>>()?,
        ssh: args.ssh.iter().map(|agent| words::agent(agent)).collect::<Result<_>>()?,
        settle_once: false,
        jobs: args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)),
        cancel,
    })
}

/// Those of `--tag`, and those that outputs give.
fn names(args: &BuildArgs, outputs: &[Output]) -> Result<Vec<Reference>> {
    let of_output = |output: &Output| match output {
        Output::Image(Some(name)) => name.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let names = args.tag.iter().cloned().chain(outputs.iter().flat_map(of_output));
    Ok(names.map(|name| Reference::parse(&name)).collect::<harness_image::Result<_>>()?)
}

/// Prints what the build checks find.
fn check(session: &Session, builder: &Builder<'_>, request: &BuildRequest) -> Result {
    let text = match (&request.dockerfile_text, &request.dockerfile) {
        (Some(text), _) => Some(text.clone()),
        // One that is missing is the builder's to name. A pipe of the shell's can be read once.
        (None, Some(path)) if path.is_file() => std::fs::read(path).ok(),
        (None, _) => None,
    };
    if let Some(text) = text {
        bases::ensure_built_in(&session.store, &text, request)?;
    }
    let found = builder.check(request).map_err(failed)?;
    for warning in &found {
        print(&format!("{warning}\n"))?;
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("build checks found {}", found.len())))
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
