//! `--change`: instructions of a Dockerfile on an image's configuration.

use clap::Args;
use harness_image::Configuration;

use crate::failure::{Failure, Result};

/// How an image's configuration is to be changed.
#[derive(Debug, Clone, Args)]
pub struct Changes {
    /// Set configuration as a Dockerfile would: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD,
    /// SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
}

impl Changes {
    pub const fn is_empty(&self) -> bool {
        self.change.is_empty()
    }

    /// Of nothing.
    pub fn alone(&self) -> Result<Configuration> {
        harness_builder::configure("--change", &self.text()).map_err(|error| Failure::usage(error.to_string()))
    }

    /// Of a configuration that is there.
    pub fn on(&self, base: &Configuration) -> Result<Configuration> {
        let changed = harness_builder::configure_on(base, "--change", &self.text());
        changed.map_err(|error| Failure::usage(error.to_string()))
    }

    fn text(&self) -> Vec<u8> {
        format!("FROM scratch\n{}\n", self.change.join("\n")).into_bytes()
    }
}
