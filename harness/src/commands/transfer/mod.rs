//! Images in and out: what the commands that move them have in common.

pub mod load;
pub mod packed;
pub mod pull;
pub mod push;
pub mod save;
pub mod tag;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use harness_image::Digest;
use harness_transfer::{Done, Mirror, Options, Watch};
use storage_driver::Bytes;

/// How to talk to registries
#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// Whether TLS is asked for and certificates are checked; registries on this machine may do without
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub tls_verify: bool,
    /// A registry to ask first, as [HOST=]URL: of docker.io where no HOST is named. May be given several times
    #[arg(long, value_name = "[HOST=]URL")]
    pub mirror: Vec<Mirror>,
    /// Credentials, as docker's config.json keeps them; default: docker's own file
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// A directory with certificates (*.crt) to trust beside the system's
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// Layers that move side by side
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,
}

impl RegistryArgs {
    /// The same as the transfer crate has them.
    pub fn options(&self) -> Options {
        Options {
            tls_verify: self.tls_verify,
            mirrors: self.mirror.clone(),
            auth_file: self.authfile.clone(),
            certificates: self.cert_dir.clone(),
            parallel: self.parallel.into(),
        }
    }
}

/// Tells on standard error what became of each blob.
#[derive(Debug)]
pub struct Lines {
    pub quiet: bool,
}

impl Lines {
    /// One line with twelve digits of the digest, as docker shows them.
    fn say(&self, blob: &Digest, what: &str) {
        if !self.quiet {
            let digits: String = blob.hex().chars().take(12).collect();
            // Who closed standard error does not want to read it.
            _ = writeln!(io::stderr(), "{digits}: {what}");
        }
    }
}

impl Watch for Lines {
    fn begin(&self, blob: &Digest, size: Bytes) {
        self.say(blob, &size.to_string());
    }

    fn done(&self, blob: &Digest, how: Done) {
        let how = match how {
            Done::Present => "already there",
            Done::Moved => "done",
            Done::Mounted => "taken from another repository",
        };
        self.say(blob, how);
    }
}
