use std::{io::Write, num::NonZero, path::PathBuf};

use anyhow::Context;
use clap::Args;
use harness_builder::{BuildNetwork, BuildRequest, Builder, Error, Observer, RunLimits, StepReport, StepStart, Stream};
use harness_image::Reference;

use crate::{
    cli::{Common, OneDriver},
    commands::print,
    engine::{Session, bases},
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
    /// The build context, a directory
    #[arg(value_name = "PATH")]
    pub context: PathBuf,
    /// The Dockerfile [default: PATH/Dockerfile]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name, and optionally a tag, for the image; may be given several times
    #[arg(long, short, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,
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
    /// Network of RUN steps: none (loopback only) or host
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = ["none", "host"])]
    pub network: String,
    /// A file for RUN --mount=type=secret
    #[arg(long, value_name = "id=ID,src=FILE")]
    pub secret: Vec<String>,
    /// A socket of an SSH agent for RUN --mount=type=ssh [default socket: $SSH_AUTH_SOCK]
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
}

pub fn run(args: &BuildArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let tags = args.tag.iter().map(|tag| Reference::parse(tag)).collect::<harness_image::Result<Vec<_>>>()?;
    let path = args.file.clone().unwrap_or_else(|| args.context.join("Dockerfile"));
    let source = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let memory = args.memory.as_deref().map(size::parse).transpose().map_err(Failure::usage)?;
    let session = Session::open(&place, args.driver.driver.as_deref(), &args.driver.driver_options)?;
    let _held = session.store.lease()?;
    bases::ensure_for(&session.store, &source)?;
    let request = BuildRequest {
        context: args.context.clone(),
        dockerfile: Some(path),
        target: args.target.clone(),
        build_args: args.build_arg.iter().filter_map(|pair| argument(pair)).collect(),
        labels: args.label.iter().map(|pair| label(pair)).collect::<Result<_>>()?,
        tags,
        no_cache: args.no_cache,
        limits: RunLimits { memory },
        network: if args.network == "host" { BuildNetwork::Host } else { BuildNetwork::None },
        secrets: args.secret.iter().map(|secret| self::secret(secret)).collect::<Result<_>>()?,
        ssh: args.ssh.iter().map(|agent| self::agent(agent)).collect::<Result<_>>()?,
        jobs: args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)),
        cancel: signals::stop_flag()?,
    };
    if args.check {
        return check(&Builder::new(&session.layers), &request);
    }
    let mut teller = Teller { quiet: args.quiet };
    let built = Builder::new(&session.layers).build(&request, &mut teller).map_err(failed)?;
    if let Some(path) = &args.iidfile {
        std::fs::write(path, built.image.id.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for tag in &request.tags {
        if !args.quiet {
            say(&format!("named {tag}"));
        }
    }
    print(&format!("{}\n", built.image.id))
}

/// Prints what the build checks find.
fn check(builder: &Builder<'_>, request: &BuildRequest) -> Result {
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
        Error::Dockerfile(_) | Error::Run { .. } | Error::NoStage { .. } | Error::Checks { .. } => {
            Failure::Failed(error.into())
        }
        Error::Stopped => Failure::Status(130, Some(error.into())),
        other => other.into(),
    }
}

/// `NAME` alone takes the value of the environment, if there is one.
fn argument(pair: &str) -> Option<(String, String)> {
    match pair.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(pair).ok().map(|value| (pair.to_owned(), value)),
    }
}

fn label(pair: &str) -> Result<(String, String)> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| Failure::usage(format!("--label takes NAME=VALUE, not {pair:?}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Tells on standard error what is going on, as docker's plain progress does.
struct Teller {
    quiet: bool,
}

impl Observer for Teller {
    fn step_started(&mut self, step: &StepStart) {
        if !self.quiet {
            say(&format!("step {}/{}: {}", step.index + 1, step.total, step.instruction));
        }
    }

    fn output(&mut self, _: usize, _: Stream, bytes: &[u8]) {
        if !self.quiet {
            let _ = std::io::stderr().write_all(bytes);
        }
    }

    fn step_done(&mut self, report: &StepReport) {
        if self.quiet {
            return;
        }
        if report.cached {
            say(" ---> from the cache");
        } else if let Some(layer) = report.layer {
            let time = report.times;
            let total = time.prepare + time.mount + time.run + time.diff + time.commit;
            say(&format!(
                " ---> layer of {} in {:.0} ms; copied up: {} files, {}",
                layer.size,
                total.as_secs_f64() * 1e3,
                layer.copied_up.files,
                layer.copied_up.bytes
            ));
        }
    }

    fn warning(&mut self, text: &str) {
        say(&format!("warning: {text}"));
    }
}

/// `id=ID,src=FILE`; the words may come in any order, and `src` is the id's own name by default.
fn secret(text: &str) -> Result<(String, PathBuf)> {
    let mut id = None;
    let mut file = None;
    for word in text.split(',') {
        match word.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
            Some(("type", "file")) => {}
            _ => return Err(Failure::usage(format!("--secret takes id=ID,src=FILE, not {word:?}"))),
        }
    }
    let id = id.ok_or_else(|| Failure::usage(format!("--secret needs an id: {text:?}")))?;
    let file = file.unwrap_or_else(|| PathBuf::from(&id));
    if !file.is_file() {
        return Err(Failure::usage(format!("the secret {id} is not there: {}", file.display())));
    }
    Ok((id, file))
}

fn agent(text: &str) -> Result<(String, PathBuf)> {
    let (id, socket) = text.split_once('=').map_or((text, None), |(id, socket)| (id, Some(socket.to_owned())));
    let socket = socket.or_else(|| std::env::var("SSH_AUTH_SOCK").ok());
    let socket = socket.ok_or_else(|| Failure::usage("--ssh needs a socket: SSH_AUTH_SOCK is not set"))?;
    Ok((id.to_owned(), socket.into()))
}
