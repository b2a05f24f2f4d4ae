//! The arguments of `build`, and what it does.

mod output;
mod progress;
pub mod words;

use std::{
    io::Read,
    net::IpAddr,
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use harness_builder::{
    BuildNetwork, BuildRequest, Builder, Entitlements, Error, NamedContext, NamedContexts, RunLimits,
};
use harness_image::{Digest, Reference};

use self::{
    output::Output,
    progress::{Style, Teller},
};
use crate::{
    cli::{Common, OneDriver},
    commands::{print, transfer::RegistryArgs},
    engine::{Session, bases, bases::Everywhere},
    failure::{Failure, Result},
    place::Place,
    say, signals, size,
};

/// Build an image from a Dockerfile
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub driver: OneDriver,
    /// The build context, a directory; with - what comes on standard input: an archive of one, or a Dockerfile that needs
    /// none
    #[arg(value_name = "PATH")]
    pub context: PathBuf,
    /// The Dockerfile, - for standard input [default: PATH/Dockerfile]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name, and optionally a tag, for the image; may be given several times
    #[arg(long, short, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,
    /// What a name means in FROM, --from and from= instead of a stage or an image: a directory, oci-layout://DIR[:TAG] or
    /// docker-image://NAME
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
    /// Network of RUN steps: none (loopback only, the default) or host
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = ["default", "none", "host"])]
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
    let (mut request, _received) = request(args)?;
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
    let mut brought = Vec::new();
    let built = contexts(args, &session, &mut brought).and_then(|contexts| {
        request.contexts = contexts;
        builder.build(&request, &mut teller).inspect_err(|_| teller.failed()).map_err(failed)
    });
    brought.iter().try_for_each(|image| session.store.remove(&image.to_string(), false).map(drop))?;
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

/// Standard input, in the place of a path.
const STDIN: &str = "-";

/// The context, the Dockerfile and its text if that is no file, as the arguments say; what came goes with the directory.
type Sources = (PathBuf, PathBuf, Option<Vec<u8>>, Option<tempfile::TempDir>);

fn sources(args: &BuildArgs) -> Result<Sources> {
    let from_stdin = |path: &Path| path == Path::new(STDIN);
    let file_on_stdin = args.file.as_deref().is_some_and(from_stdin);
    if from_stdin(&args.context) {
        if file_on_stdin {
            return Err(Failure::usage("standard input is either the context or the Dockerfile, not both"));
        }
        let dir = tempfile::tempdir().context("cannot make a directory for the context")?;
        let text = harness_builder::receive_context(&mut std::io::stdin(), dir.path()).map_err(failed)?;
        let file = dir.path().join(args.file.as_deref().unwrap_or(Path::new("Dockerfile")));
        // What came is not to be trusted: a link must not lead to a file of this machine.
        let is_inside = |file: &Path| Some(file.canonicalize().ok()?.starts_with(dir.path().canonicalize().ok()?));
        if text.is_none() && (is_inside(&file) != Some(true) || !file.is_file()) {
            let name = args.file.as_deref().unwrap_or(Path::new("Dockerfile"));
            return Err(Failure::failed(format!("the context on standard input has no file {}", name.display())));
        }
        return Ok((dir.path().to_owned(), file, text, Some(dir)));
    }
    if file_on_stdin {
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text).context("cannot read the Dockerfile on standard input")?;
        return Ok((args.context.clone(), args.context.join("Dockerfile"), Some(text), None));
    }
    let path = args.file.clone().unwrap_or_else(|| args.context.join("Dockerfile"));
    Ok((args.context.clone(), path, None, None))
}

/// What came on standard input is there as long as the second value.
fn request(args: &BuildArgs) -> Result<(BuildRequest, Option<tempfile::TempDir>)> {
    let (context, dockerfile, dockerfile_text, received) = sources(args)?;
    if dockerfile_text.is_none() {
        std::fs::metadata(&dockerfile).with_context(|| format!("cannot read {}", dockerfile.display()))?;
    }
    let allows = |name: &str| args.allow.iter().any(|allowed| allowed == name);
    let allow = Entitlements { host_network: allows("network.host"), insecure: allows("security.insecure") };
    let memory = args.memory.as_deref().map(size::parse).transpose().map_err(Failure::usage)?;
    let request = BuildRequest {
        context,
        dockerfile: Some(dockerfile),
        dockerfile_text,
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
        network: if args.network == "host" { BuildNetwork::Host } else { BuildNetwork::None },
        secrets: args.secret.iter().map(|secret| words::secret(secret)).collect::<Result<_>>()?,
        ssh: args.ssh.iter().map(|agent| words::agent(agent)).collect::<Result<_>>()?,
        jobs: args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)),
        cancel: signals::stop_flag()?,
    };
    Ok((request, received))
}

/// What `--build-context` gives. Images of layouts are in the store for as long as the build takes; those that were not
/// there before are added to `brought`.
fn contexts(args: &BuildArgs, session: &Session, brought: &mut Vec<Digest>) -> Result<NamedContexts> {
    let mut contexts = NamedContexts::new();
    for (name, context) in &args.build_context {
        let context = match context {
            words::Context::Here(context) => context.clone(),
            words::Context::Layout(location) => {
                let before: Vec<_> = session.store.list()?.iter().map(|image| image.manifest_digest).collect();
                let image = harness_transfer::copy_in(&session.store, location, &[], &args.registry.options(), &())
                    .map_err(|error| Failure::Failed(error.into()))?;
                if !before.contains(&image.manifest_digest) {
                    brought.push(image.id);
                }
                NamedContext::Image(image.id.to_string())
            }
        };
        contexts.insert(name.clone(), context);
    }
    Ok(contexts)
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
