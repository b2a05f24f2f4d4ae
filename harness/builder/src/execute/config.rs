//! A stage as it stands: configuration, layers, variables.

use std::collections::{BTreeMap, BTreeSet};

use harness_image::{ChainId, Configuration, DockerConfig, Image, LayerBlob, parse_rfc3339, rfc3339};
use oci_spec::image::{Arch, Config, ConfigBuilder, History, HistoryBuilder, ImageConfigurationBuilder, Os};
use storage_driver::Timestamp;

use crate::{
    Error, Result,
    cache_key::KeyMaker,
    dockerfile::{CommandForm, CommandLine},
    expand::Variables,
};

/// Arguments that need no ARG (Dockerfile reference, "Predefined ARGs").
pub const PREDEFINED: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the next instruction starts from.
#[derive(Debug, Clone)]
pub struct State {
    pub env: Vec<String>,
    pub workdir: String,
    pub user: Option<String>,
    pub cmd: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub docker: DockerConfig,
    pub labels: BTreeMap<String, String>,
    pub ports: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub stop_signal: Option<String>,
    pub author: Option<String>,
    pub layers: Vec<LayerBlob>,
    pub chain: Option<ChainId>,
    pub history: Vec<History>,
    /// When the last layer was made.
    pub latest: Option<Timestamp>,
    /// What the base image is for, such as `linux/amd64`.
    pub platform: Option<String>,
    /// Arguments in scope.
    pub args: BTreeMap<String, String>,
    /// Predefined arguments that no ARG declares: commands see them, and what they make does not hang on them.
    pub undeclared: BTreeMap<String, String>,
    /// Earlier builds' layers may not be used in this stage.
    pub no_cache: bool,
    /// CMD was given in this stage.
    pub own_cmd: bool,
}

impl State {
    /// Of `FROM scratch`.
    pub fn scratch() -> Self {
        Self {
            env: vec![DEFAULT_PATH.to_owned()],
            workdir: String::new(),
            user: None,
            cmd: None,
            entrypoint: None,
            docker: DockerConfig::default(),
            labels: BTreeMap::new(),
            ports: BTreeSet::new(),
            volumes: BTreeSet::new(),
            stop_signal: None,
            author: None,
            layers: Vec::new(),
            chain: None,
            history: Vec::new(),
            latest: None,
            platform: None,
            args: BTreeMap::new(),
            undeclared: BTreeMap::new(),
            no_cache: false,
            own_cmd: false,
        }
    }

    /// Of an image.
    pub fn of_image(image: &Image) -> Self {
        let mut state = Self {
            layers: image.layers().to_vec(),
            chain: image.chain(),
            history: image.config.history().clone().unwrap_or_default(),
            latest: image.config.created().as_deref().and_then(parse_rfc3339),
            platform: Some(format!("{}/{}", image.config.os(), image.config.architecture())),
            ..Self::scratch()
        };
        state.take_over(image.config.config().as_ref(), &image.docker);
        state
    }

    /// Takes over how something is to be run.
    pub fn take_over(&mut self, config: Option<&Config>, docker: &DockerConfig) {
        self.docker.clone_from(docker);
        let Some(config) = config else { return };
        if let Some(env) = config.env() {
            self.env.clone_from(env);
        }
        self.workdir = config.working_dir().clone().unwrap_or_default();
        self.user.clone_from(config.user());
        self.cmd.clone_from(config.cmd());
        self.entrypoint.clone_from(config.entrypoint());
        self.labels = config.labels().clone().unwrap_or_default().into_iter().collect();
        self.ports = config.exposed_ports().clone().unwrap_or_default().into_iter().collect();
        self.volumes = config.volumes().clone().unwrap_or_default().into_iter().collect();
        self.stop_signal.clone_from(config.stop_signal());
    }

    /// Of a finished stage, whose arguments are inherited (docker's "Build variables", "Scoping").
    pub fn after(stage: &Self) -> Self {
        Self { own_cmd: false, ..stage.clone() }
    }

    /// A key for a step on top of what is there now.
    ///
    /// It stands on the chain, which is the content, and not on the steps that led to it: the same content may have
    /// come about in another way, and a step done again may have made other content.
    pub fn key(&self, step: &str) -> KeyMaker {
        let mut key = KeyMaker::new();
        key.add(self.chain.map_or_else(String::new, |chain| chain.to_string()).as_bytes());
        key.add(step.as_bytes());
        key
    }

    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let same = |known: &String| known.split('=').next() == Some(name);
        match self.env.iter_mut().find(|known| same(known)) {
            Some(known) => *known = pair,
            None => self.env.push(pair),
        }
    }

    /// Adds ports as EXPOSE has them: `80`, `53/udp`, `8000-8010/tcp`. Of a mapping such as `127.0.0.1:80:8080` the
    /// container's port is taken, as docker does.
    pub fn expose(&mut self, ports: &[String]) -> Result<(), String> {
        for port in ports {
            let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let range = range.rsplit(':').next().unwrap_or(range);
            let protocol = protocol.to_ascii_lowercase();
            let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0);
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last && ["tcp", "udp", "sctp"].contains(&protocol.as_str()) => {
                    self.ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
                }
                _ => return Err(format!("{port:?} is no port; write 80, 53/udp or 8000-8010")),
            }
        }
        Ok(())
    }

    /// The words that run a command.
    pub fn words(&self, command: &CommandLine) -> Vec<String> {
        match &command.form {
            CommandForm::Exec(words) => words.clone(),
            CommandForm::Shell(line) => self.in_shell(line),
        }
    }

    /// The words that run a line in the shell.
    pub fn in_shell(&self, line: &str) -> Vec<String> {
        let shell = self.docker.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        shell.into_iter().chain([line.to_owned()]).collect()
    }

    /// The environment of RUN that its key stands on: arguments are in it unless ENV has the name.
    pub fn declared_env(&self) -> Vec<String> {
        with_more(self.env.clone(), &self.args)
    }

    /// The environment of RUN.
    pub fn run_env(&self) -> Vec<String> {
        with_more(self.declared_env(), &self.undeclared)
    }

    pub fn remember(&mut self, text: &str, has_layer: bool, now: Timestamp) -> Result<()> {
        let history = HistoryBuilder::default()
            .created(rfc3339(now))
            .created_by(text)
            .comment("harness")
            .empty_layer(!has_layer)
            .build()
            .map_err(invalid)?;
        self.history.push(history);
        Ok(())
    }

    pub fn into_image(self, now: Timestamp) -> Result<(Configuration, Vec<LayerBlob>)> {
        let mut config = ConfigBuilder::default().env(self.env);
        if !self.workdir.is_empty() {
            config = config.working_dir(self.workdir);
        }
        if let Some(user) = self.user {
            config = config.user(user);
        }
        if let Some(cmd) = self.cmd {
            config = config.cmd(cmd);
        }
        if let Some(entrypoint) = self.entrypoint {
            config = config.entrypoint(entrypoint);
        }
        if !self.labels.is_empty() {
            config = config.labels(self.labels.into_iter().collect::<std::collections::HashMap<_, _>>());
        }
        if !self.ports.is_empty() {
            config = config.exposed_ports(self.ports.into_iter().collect::<Vec<_>>());
        }
        if !self.volumes.is_empty() {
            config = config.volumes(self.volumes.into_iter().collect::<Vec<_>>());
        }
        if let Some(signal) = self.stop_signal {
            config = config.stop_signal(signal);
        }
        let mut image = ImageConfigurationBuilder::default()
            .created(rfc3339(now))
            .architecture(Arch::default())
            .os(Os::Linux)
            .config(config.build().map_err(invalid)?)
            .history(self.history);
        if let Some(author) = self.author {
            image = image.author(author);
        }
        let config = Configuration { oci: image.build().map_err(invalid)?, docker: self.docker };
        Ok((config, self.layers))
    }
}

/// ENV wins over ARG.
impl Variables for State {
    fn get(&self, name: &str) -> Option<&str> {
        let env = self.env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        env.or_else(|| self.args.get(name).or_else(|| self.undeclared.get(name)).map(String::as_str))
    }
}

/// What has its name already stays.
fn with_more(mut env: Vec<String>, more: &BTreeMap<String, String>) -> Vec<String> {
    let has = |name: &str| env.iter().any(|pair| pair.split('=').next() == Some(name));
    let new: Vec<_> =
        more.iter().filter(|(name, _)| !has(name)).map(|(name, value)| format!("{name}={value}")).collect();
    env.extend(new);
    env
}

fn invalid(error: oci_spec::OciSpecError) -> Error {
    harness_image::Error::InvalidImage { why: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_wins_over_arg_and_is_replaced_in_place() {
        let mut state = State::scratch();
        state.args.insert("A".to_owned(), "arg".to_owned());
        state.args.insert("B".to_owned(), "arg".to_owned());
        state.set_env("A", "env");
        state.set_env("A", "env2");
        assert_eq!(state.get("A"), Some("env2"));
        assert_eq!(state.get("B"), Some("arg"));
        assert_eq!(state.get("PAT"), None);
        assert_eq!(state.run_env()[1..], ["A=env2", "B=arg"]);
    }
}
