use std::{path::Path, thread};

use anyhow::Context;
use clap::Args;
use harness_image::{Image, PrepareOptions, Purpose};
use harness_runtime::{
    Container, Launch, Signaller, Stdio,
    config::{Bind, Capabilities, ContainerConfig, Tmpfs, spec},
};
use oci_spec::runtime::Capability;
use signal_hook::{consts, iterator::Signals};
use storage_driver::{LayerId, MountMode, Timestamp};

use crate::{
    cli::{Common, OneDriver},
    containers::{Containers, Held, Record},
    engine::{Session, bases, containers},
    failure::{Failure, Result},
    names,
    place::Place,
    size, terminal,
};

/// Run a command in a new container
///
/// The exit status is the container's; 125 when it could not be made, 126 when its command could not be run,
/// 127 when its command was not found.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub driver: OneDriver,
    /// Keep standard input open
    #[arg(long, short)]
    pub interactive: bool,
    /// Give the container a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// The container's name [default: two words]
    #[arg(long)]
    pub name: Option<String>,
    /// Set an environment variable; without =VALUE it is taken from the environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Working directory
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User, and optionally group, by name or id
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Host name [default: the beginning of the container's id]
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Program to run instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Bind-mount a file or directory of the host
    #[arg(long, value_name = "HOST:CONTAINER[:ro]")]
    pub volume: Vec<String>,
    /// Mount an empty tmpfs
    #[arg(long, value_name = "DIR")]
    pub tmpfs: Vec<String>,
    /// Mount the container's root read-only
    #[arg(long)]
    pub read_only: bool,
    /// Memory limit, such as 512m
    #[arg(long, short, value_name = "BYTES")]
    pub memory: Option<String>,
    /// CPU limit in CPUs, such as 1.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<f64>,
    /// Most processes
    #[arg(long, value_name = "N")]
    pub pids_limit: Option<i64>,
    /// Give a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Take a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// All capabilities, no seccomp filter, nothing masked
    #[arg(long)]
    pub privileged: bool,
    /// Run a small init as process 1, which forwards signals and reaps
    #[arg(long)]
    pub init: bool,
    /// size=BYTES limits what the container's layer may hold
    #[arg(long, value_name = "NAME=VALUE")]
    pub storage_opt: Vec<String>,
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The command and its arguments [default: the image's]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

pub fn run(args: &RunArgs) -> Result {
    // docker's status for a container that could not be made.
    let (session, containers, image) = start(args).map_err(not_made)?;
    let (record, held) = record(args, &session, &containers, &image).map_err(not_made)?;
    let ran = on_layer(args, &session, &image, &record);
    finish(args, &session, record, held, ran)
}

fn not_made(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(error) | Failure::Environment(error) | Failure::Internal(error) => {
            Failure::Status(125, Some(error))
        }
        status @ Failure::Status(..) => status,
    }
}

fn start(args: &RunArgs) -> Result<(Session, Containers, Image)> {
    let place = Place::choose(args.common.root.as_deref());
    let session = Session::open(&place, args.driver.driver.as_deref(), &args.driver.driver_options)?;
    let containers = Containers::open(place.containers())?;
    if let Some(name) = args.name.as_ref().filter(|name| containers.find(name).is_ok()) {
        return Err(Failure::usage(format!("there is a container named {name} already; remove it first")));
    }
    let image = bases::resolve(&session.store, &args.image)?;
    Ok((session, containers, image))
}

/// Makes the container's layer and its record.
fn record(args: &RunArgs, session: &Session, containers: &Containers, image: &Image) -> Result<(Record, Held)> {
    let size = args.storage_opt.iter().map(|option| storage_option(option)).collect::<Result<Vec<_>>>()?.pop();
    let parent = session.layers.ensure(image)?;
    let options = PrepareOptions { purpose: Purpose::Container, size, ..PrepareOptions::default() };
    let layer = session.layers.prepare(parent.as_ref(), &options)?;
    let record = Record {
        id: layer.to_string(),
        name: args.name.clone().unwrap_or_else(|| names::of(layer.as_str())),
        image: args.image.clone(),
        image_id: image.id.to_string(),
        driver: session.driver().name().to_owned(),
        layer: layer.clone(),
        command: words(args, image),
        auto_remove: args.rm,
        created: Timestamp::from_system(std::time::SystemTime::now()),
        finished: None,
        status: None,
    };
    let held = containers.create(&record).inspect_err(|_| _ = session.layers.discard(&layer))?;
    Ok((record, held))
}

fn storage_option(option: &str) -> Result<storage_driver::Bytes> {
    let size = option
        .strip_prefix("size=")
        .ok_or_else(|| Failure::usage(format!("--storage-opt takes size=BYTES, not {option:?}")))?;
    size::parse(size).map_err(Failure::usage)
}

fn words(args: &RunArgs, image: &Image) -> Vec<String> {
    let entrypoint =
        args.entrypoint.as_ref().map(|program| if program.is_empty() { Vec::new() } else { vec![program.clone()] });
    containers::words(image, entrypoint.as_deref(), &args.command)
}

/// Mounts the container's layer, runs the container on it, and unmounts.
fn on_layer(args: &RunArgs, session: &Session, image: &Image, record: &Record) -> Result<i32> {
    let mounted = session.driver().mount(&record.layer, MountMode::ReadWrite)?;
    let ran = attached(args, image, record, mounted.path());
    let closed = mounted.close();
    let status = ran?;
    closed?;
    Ok(status)
}

fn attached(args: &RunArgs, image: &Image, record: &Record, root: &Path) -> Result<i32> {
    let config = config(args, image, record, root)?;
    let stdio = match (args.tty, args.interactive) {
        (true, _) => {
            let (rows, cols) = terminal::size();
            Stdio::Pty { rows, cols }
        }
        (false, true) => Stdio::Inherit,
        (false, false) => terminal::without_input()?,
    };
    let launch = Launch { stdio, init: args.init, ..Launch::new(record.id.as_str(), spec(&config)?) };
    let mut container = launch.start()?;
    forward_signals(container.signaller())?;
    if args.tty {
        terminal::attach(&mut container, args.interactive)?;
    }
    Ok(end(container)?)
}

fn end(container: Container) -> harness_runtime::Result<i32> {
    let exit = container.wait()?;
    container.close()?;
    Ok(exit.status())
}

fn config(args: &RunArgs, image: &Image, record: &Record, root: &Path) -> Result<ContainerConfig> {
    if record.command.is_empty() {
        return Err(Failure::usage(format!("the image {} has no command; give one", args.image)));
    }
    let mut config = containers::config(image, root, record.command.clone());
    for pair in &args.env {
        match pair.split_once('=') {
            Some(_) => config.env.push(pair.clone()),
            None => config.env.extend(std::env::var(pair).ok().map(|value| format!("{pair}={value}"))),
        }
    }
    if let Some(dir) = &args.workdir {
        config.cwd = dir.into();
    }
    config.user = args.user.clone().or(config.user);
    config.hostname = Some(args.hostname.clone().unwrap_or_else(|| record.id.chars().take(12).collect()));
    config.tty = args.tty;
    config.read_only = args.read_only;
    config.binds = args.volume.iter().map(|volume| bind(volume)).collect::<Result<_>>()?;
    config.tmpfs = args.tmpfs.iter().map(|text| tmpfs(text)).collect();
    let memory = args.memory.as_deref().map(size::parse).transpose().map_err(Failure::usage)?;
    config.memory = memory.map(storage_driver::Bytes::get);
    config.cpus = args.cpus;
    config.pids_limit = args.pids_limit.and_then(|limit| u64::try_from(limit).ok());
    config.cap_add = capabilities(&args.cap_add)?;
    config.cap_drop = capabilities(&args.cap_drop)?;
    config.privileged = args.privileged;
    Ok(config)
}

fn bind(volume: &str) -> Result<Bind> {
    let wrong = || Failure::usage(format!("--volume takes HOST:CONTAINER[:ro], both absolute, not {volume:?}"));
    let parts: Vec<_> = volume.split(':').collect();
    let (source, target, read_only) = match parts.as_slice() {
        [source, target] | [source, target, "rw"] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => return Err(wrong()),
    };
    if !source.starts_with('/') || !target.starts_with('/') {
        return Err(wrong());
    }
    Ok(Bind { source: source.into(), target: target.into(), read_only })
}

fn tmpfs(text: &str) -> Tmpfs {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let options = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    Tmpfs { target: target.into(), options }
}

fn capabilities(names: &[String]) -> Result<Capabilities> {
    if names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(Capabilities::All);
    }
    let one = |name: &String| {
        let upper = name.to_uppercase();
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        serde_json::from_value::<Capability>(serde_json::Value::String(full))
            .map_err(|_| Failure::usage(format!("there is no capability {name}")))
    };
    Ok(Capabilities::Only(names.iter().map(one).collect::<Result<_>>()?))
}

/// Signals for this program are the container's, as docker's `--sig-proxy`.
fn forward_signals(container: Signaller) -> Result {
    let forwarded =
        [consts::SIGINT, consts::SIGTERM, consts::SIGHUP, consts::SIGQUIT, consts::SIGUSR1, consts::SIGUSR2];
    let mut signals = Signals::new(forwarded).context("cannot handle signals")?;
    thread::spawn(move || {
        for signal in &mut signals {
            // The container may have ended meanwhile.
            let _ = container.signal(signal);
        }
    });
    Ok(())
}

/// Keeps how it ended, or takes the container away.
fn finish(args: &RunArgs, session: &Session, mut record: Record, held: Held, ran: Result<i32>) -> Result {
    let status = match &ran {
        Ok(status) => *status,
        Err(_) => 125,
    };
    if args.rm {
        remove(session, &record.layer)?;
        held.remove()?;
    } else {
        record.status = Some(status);
        record.finished = Some(Timestamp::from_system(std::time::SystemTime::now()));
        held.write(&record)?;
    }
    match ran {
        Ok(0) => Ok(()),
        Ok(status) => Err(Failure::Status(u8::try_from(status).unwrap_or(255), None)),
        Err(Failure::Environment(error)) => {
            // No such program is 127, one that cannot be executed 126.
            let status = match error.downcast_ref::<harness_runtime::Error>() {
                Some(harness_runtime::Error::Program { status, .. }) => *status,
                _ => 125,
            };
            Err(Failure::Status(status, Some(error)))
        }
        Err(other) => Err(not_made(other)),
    }
}

fn remove(session: &Session, layer: &LayerId) -> Result {
    Ok(session.layers.discard(layer)?)
}
