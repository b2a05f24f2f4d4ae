//! The options of `run` and `create`, docker's.

mod isolation;
pub mod limits;
mod network;
mod resources;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use harness_container::{Configuration, LogOptions, RestartPolicy, Supervisor, signal};
use harness_image::Image;
use harness_transfer::Platform;
use storage_driver::Bytes;

pub use self::resources::ulimit;
use self::{isolation::IsolationOptions, network::NetworkOptions, resources::ResourceOptions};
use super::{environment, health, mounts};
use crate::{
    containers::Site,
    engine::containers,
    failure::{Failure, Result},
    size,
};

/// What a container is made with.
#[derive(Debug, Clone, Args)]
pub struct ContainerOptions {
    /// Keep standard input open
    #[arg(long, short)]
    pub interactive: bool,
    /// Give the container a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Remove the container, and its anonymous volumes, when it ends
    #[arg(long)]
    pub rm: bool,
    /// The container's name [default: two words]
    #[arg(long)]
    pub name: Option<String>,
    /// Write the container's id to a file, which must not be there
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Whether to ask registries for the image
    #[arg(long, value_name = "WHEN", default_value = "missing", value_parser = ["missing", "always", "never"])]
    pub pull: String,
    /// The image for this platform, out of several [default: this machine's]
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub platform: Option<Platform>,
    /// Say nothing while an image is pulled, as is so in any case
    #[arg(long, short)]
    quiet: bool,
    /// Set an environment variable; without =VALUE it is taken from the environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Working directory
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User, and optionally group, by name or id
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// A further group, by name or id
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    #[command(flatten)]
    network: NetworkOptions,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Program to run instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Mount a file or directory of the host, or a volume by its name; a path alone makes a volume without a name
    #[arg(long, short, value_name = "[HOST|NAME:]CONTAINER[:ro]")]
    pub volume: Vec<String>,
    /// What keeps volumes: local, a directory of the data directory's
    #[arg(long, value_name = "NAME", default_value = "local", value_parser = ["local"])]
    volume_driver: String,
    /// Mount something: type=bind|volume|tmpfs,source=...,target=...[,readonly][,volume-nocopy][,tmpfs-size=...]
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub mount: Vec<String>,
    /// Mount what is mounted in another container
    #[arg(long, value_name = "CONTAINER[:ro|rw]")]
    pub volumes_from: Vec<String>,
    /// Mount an empty tmpfs
    #[arg(long, value_name = "DIR[:OPTIONS]")]
    pub tmpfs: Vec<String>,
    /// Mount the container's root read-only
    #[arg(long)]
    pub read_only: bool,
    #[command(flatten)]
    resources: ResourceOptions,
    #[command(flatten)]
    isolation: IsolationOptions,
    /// Run a small init as process 1, which forwards signals and reaps
    #[arg(long)]
    pub init: bool,
    /// Signal that asks the container to end [default: the image's, else SIGTERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds it has for that until it is killed [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u64>,
    /// When to start it again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub restart: String,
    #[command(flatten)]
    pub health: health::HealthOptions,
    /// A label for people and programs
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub label: Vec<String>,
    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// A note for the OCI runtime, in the container's specification
    #[arg(long, value_name = "NAME=VALUE")]
    pub annotation: Vec<String>,
    /// What becomes of the output besides: json-file keeps it for `logs`, none does not
    #[arg(long, value_name = "NAME", default_value = "json-file", value_parser = ["json-file", "none"])]
    pub log_driver: String,
    /// max-size=BYTES and max-file=N begin a new log file, and bound their number
    #[arg(long, value_name = "NAME=VALUE")]
    pub log_opt: Vec<String>,
    /// size=BYTES limits what the container's layer may hold
    #[arg(long, value_name = "NAME=VALUE")]
    pub storage_opt: Vec<String>,
    /// Run it with this OCI runtime (runc, crun, youki) instead of the built-in one
    #[arg(long, visible_alias = "runtime", value_name = "PATH")]
    pub oci_runtime: Option<PathBuf>,
    /// The image, and the command and its arguments [default: the image's]; what stands behind the image is the command's, whatever
    /// it looks like
    #[arg(required = true, value_name = "IMAGE", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl ContainerOptions {
    /// The image.
    pub fn image(&self) -> Result<&str> {
        match self.words.first().map(String::as_str) {
            Some(image) if !image.starts_with('-') => Ok(image),
            other => {
                Err(Failure::usage(format!("there is no option {}; --help lists them", other.unwrap_or_default())))
            }
        }
    }

    /// The command and its arguments.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// What the container's layer may hold at the most.
    pub fn layer_size(&self) -> Result<Option<Bytes>> {
        let size = |option: &String| {
            let size = option
                .strip_prefix("size=")
                .ok_or_else(|| Failure::usage(format!("--storage-opt takes size=BYTES, not {option:?}")))?;
            size::parse(size).map_err(Failure::usage)
        };
        Ok(self.storage_opt.iter().map(size).collect::<Result<Vec<_>>>()?.pop())
    }

    /// The configuration of a container of `image`. Everything that can be wrong with the options is said here.
    pub fn configuration(&self, image: &Image, site: &Site) -> Result<Configuration> {
        let entrypoint = self.entrypoint();
        let words = containers::words(image, entrypoint.as_deref(), self.command());
        if words.is_empty() {
            return Err(Failure::usage(format!("the image {} has no command; give one", self.image()?)));
        }
        let of_image = image.config.config().as_ref();
        let image_words = of_image.and_then(|config| config.entrypoint().clone());
        let mut configuration = Configuration {
            entrypoint: entrypoint.or(image_words).map_or(0, |words| words.len()),
            words,
            env: self.environment(image)?,
            workdir: self.workdir.clone().or_else(|| of_image?.working_dir().clone()).unwrap_or_default(),
            user: self.user.clone().or_else(|| of_image?.user().clone()).filter(|user| !user.is_empty()),
            group_add: self.group_add.clone(),
            tty: self.tty,
            open_stdin: self.interactive,
            init: self.init,
            read_only: self.read_only,
            mounts: mounts::of(self, image, site)?,
            resources: self.resources.resources()?,
            ulimits: self.resources.ulimits()?,
            shm_size: self.resources.shm_size()?,
            stop_signal: self.stop_signal(image)?,
            stop_timeout: self.stop_timeout,
            restart: self.restart.parse::<RestartPolicy>().map_err(Failure::usage)?,
            health: self.health.of(image.docker.healthcheck.as_ref())?,
            labels: self.labels(image)?,
            annotations: self.annotation.iter().map(|text| pair("--annotation", text)).collect::<Result<_>>()?,
            log: self.log()?,
            oci_runtime: self.oci_runtime.clone(),
            // As docker: unless it is asked for, set-user-ID programs work.
            new_privileges: true,
            ..Configuration::default()
        };
        self.network.apply(&mut configuration, image, site)?;
        self.isolation.apply(&mut configuration, site)?;
        if self.rm && configuration.restart != RestartPolicy::No {
            return Err(Failure::usage("--rm and --restart contradict each other; leave one of them out"));
        }
        Supervisor::check(&configuration).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(configuration)
    }

    fn entrypoint(&self) -> Option<Vec<String>> {
        let program = self.entrypoint.as_ref()?;
        Some(if program.is_empty() { Vec::new() } else { vec![program.clone()] })
    }

    fn environment(&self, image: &Image) -> Result<Vec<String>> {
        let mut env = image.config.config().as_ref().and_then(|config| config.env().clone()).unwrap_or_default();
        for (name, value) in environment::given(&self.env_file, &self.env)? {
            env.retain(|known| known.split('=').next() != Some(&name));
            env.extend(value.map(|value| format!("{name}={value}")));
        }
        Ok(env)
    }

    fn stop_signal(&self, image: &Image) -> Result<Option<i32>> {
        let of_image = image.config.config().as_ref().and_then(|config| config.stop_signal().clone());
        let name = self.stop_signal.clone().or(of_image).filter(|name| !name.is_empty());
        name.map(|name| signal::parse(&name)).transpose().map_err(Failure::usage)
    }

    fn labels(&self, image: &Image) -> Result<BTreeMap<String, String>> {
        let of_image = image.config.config().as_ref().and_then(|config| config.labels().clone());
        let mut labels: BTreeMap<_, _> = of_image.unwrap_or_default().into_iter().collect();
        let mut lines = Vec::new();
        for file in &self.label_file {
            lines.extend(environment::lines_of(file)?);
        }
        labels.extend(lines.iter().chain(&self.label).map(|label| {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            (name.to_owned(), value.to_owned())
        }));
        Ok(labels)
    }

    fn log(&self) -> Result<LogOptions> {
        let mut log = LogOptions { off: self.log_driver == "none", ..LogOptions::default() };
        for option in &self.log_opt {
            match option.split_once('=') {
                Some(("max-size", size)) => log.max_size = bytes(Some(size))?,
                Some(("max-file", number)) => {
                    let number = number.parse().ok().filter(|&number| number > 0);
                    log.max_files = Some(number.ok_or_else(|| {
                        Failure::usage(format!("--log-opt max-file takes a number from 1 on, not {option:?}"))
                    })?);
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "--log-opt takes max-size=BYTES and max-file=N, not {option:?}"
                    )));
                }
            }
        }
        Ok(log)
    }
}

/// A size that was given, in bytes.
pub fn bytes(text: Option<&str>) -> Result<Option<u64>> {
    Ok(text.map(size::parse).transpose().map_err(Failure::usage)?.map(Bytes::get))
}

fn pair(option: &str, text: &str) -> Result<(String, String)> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| Failure::usage(format!("{option} takes NAME=VALUE, not {text:?}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes(Some("1k")).unwrap(), Some(1024));
        assert!(bytes(Some("much")).is_err());
    }
}
