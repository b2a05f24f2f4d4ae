use std::{
    fs::File,
    io::{self, Read},
};

use anyhow::Context;
use clap::Args;
use harness_image::{
    Reference, Store,
    base::{self, ImportOptions},
};
use oci_spec::image::{Config, ConfigBuilder};

use crate::{
    cli::Common,
    commands::print,
    failure::{Failure, Result},
    place::Place,
};

/// Make an image from the tar of a root file system (plain, gzip or zstd)
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: Common,
    /// The tar, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub file: String,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
    /// Set configuration as a Dockerfile would: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL
    #[arg(long, short, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Comment for the image's history
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
}

pub fn run(args: &ImportArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let reference = Reference::parse(&args.name)?;
    let config = if args.change.is_empty() { None } else { Some(changed(&args.change)?) };
    let store = Store::open(&place.images())?;
    let mut source: Box<dyn Read + Send> = match args.file.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).with_context(|| format!("cannot open {path}"))?),
    };
    let message = args.message.clone().unwrap_or_else(|| format!("imported from {}", args.file));
    let options = ImportOptions { config, message, created: None };
    let image =
        base::import(&store, &mut source, &reference, &options).map_err(|error| Failure::Failed(error.into()))?;
    print(&format!("{}\n", image.id))
}

/// Reads `--change` as the instructions of a Dockerfile.
fn changed(changes: &[String]) -> Result<Config> {
    use harness_builder::{CommandLine, Kind};
    let text = format!("FROM scratch\n{}\n", changes.join("\n"));
    let file = harness_builder::parse(text.as_bytes()).map_err(|wrong| Failure::usage(wrong.in_file("--change")))?;
    let words = |command: &CommandLine| match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
    };
    let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let mut config = ConfigBuilder::default();
    for instruction in file.stages.into_iter().flat_map(|stage| stage.instructions) {
        config = match instruction.kind {
            Kind::Cmd(command) => config.cmd(words(&command)),
            Kind::Entrypoint(command) => config.entrypoint(words(&command)),
            Kind::Env(pairs) => {
                env.extend(pairs.into_iter().map(|(name, value)| format!("{name}={value}")));
                config
            }
            Kind::Expose(ports) => config.exposed_ports(ports),
            Kind::Label(labels) => config.labels(labels.into_iter().collect::<std::collections::HashMap<_, _>>()),
            Kind::User(user) => config.user(user),
            Kind::Volume(volumes) => config.volumes(volumes),
            Kind::Workdir(dir) => config.working_dir(dir),
            Kind::StopSignal(signal) => config.stop_signal(signal),
            _ => return Err(Failure::usage(format!("--change cannot take {}", instruction.text))),
        };
    }
    Ok(config.env(env).build()?)
}
