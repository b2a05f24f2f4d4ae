use clap::Args;
use harness_transfer::{Options, logout, registry_name};

use crate::{
    commands::print,
    failure::{Failure, Result},
};

/// Log out of a registry: forget its credentials
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Credentials, as docker's config.json keeps them; default: docker's own file
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<std::path::PathBuf>,
    /// The registry
    #[arg(value_name = "SERVER", default_value = "docker.io")]
    pub server: String,
}

pub fn run(args: &LogoutArgs) -> Result {
    let host = registry_name(&args.server).map_err(Failure::usage)?;
    let options = Options { auth_file: args.authfile.clone(), ..Options::default() };
    let was_known = logout(&host, &options).map_err(|error| Failure::Failed(error.into()))?;
    let said = if was_known { "Removing login credentials for" } else { "Not logged in to" };
    print(&format!("{said} {host}\n"))
}
