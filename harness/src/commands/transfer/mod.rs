//! Images in and out: what the commands that move them have in common.

pub mod load;
pub mod login;
pub mod logout;
pub mod packed;
mod prompt;
pub mod pull;
pub mod push;
pub mod save;
pub mod tag;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use harness_image::{Digest, Image, Reference, Store};
use harness_transfer::{Done, Mirror, Options, Watch};
use storage_driver::Bytes;

use crate::failure::{Failure, Result};

/// How to talk to registries
#[derive(Debug, Args)]
pub struct RegistryArgs {
    #[command(flatten)]
    pub trust: TrustArgs,
    /// A registry to ask first, as [HOST=]URL: of docker.io where no HOST is named. May be given several times
    #[arg(long, value_name = "[HOST=]URL")]
    pub mirror: Vec<Mirror>,
    /// Layers that move side by side
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,
}

/// Whom to trust, and who one is
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Whether TLS is asked for and certificates are checked; registries on this machine may do without
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub tls_verify: bool,
    /// Credentials, as docker's config.json keeps them; default: docker's own file
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// A directory with certificates to trust (*.crt), and to show (NAME.cert with NAME.key), beside those of the system and of
    /// /etc/docker/certs.d/HOST[:PORT]
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
}

impl RegistryArgs {
    /// The same as the transfer crate has them.
    pub fn options(&self) -> Options {
        Options { mirrors: self.mirror.clone(), parallel: self.parallel.into(), ..self.trust.options() }
    }
}

impl TrustArgs {
    /// The same as the transfer crate has them.
    pub fn options(&self) -> Options {
        Options {
            tls_verify: self.tls_verify,
            auth_file: self.authfile.clone(),
            certificates: self.cert_dir.clone(),
            ..Options::default()
        }
    }
}

/// For `--all-tags`, beside which a tag says nothing.
fn only_repository(name: &str) -> Result {
    if Reference::is_repository(name) {
        return Ok(());
    }
    Err(Failure::usage(format!("--all-tags takes a repository, without a tag or digest, unlike {name}")))
}

/// The images of a repository with their names, in the order of these.
fn of_repository(store: &Store, repository: &str) -> Result<Vec<(Reference, Image)>> {
    let wanted = Reference::parse(repository)?.repository();
    let mut found = Vec::new();
    for image in store.list()? {
        let names = image.references.iter().filter(|name| name.repository() == wanted && name.tag().is_some());
        found.extend(names.map(|name| (name.clone(), image.clone())));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
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
