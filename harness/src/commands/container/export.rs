use std::io::{self, BufWriter, IsTerminal, Write};

use clap::Args;
use harness_container::Host;
use harness_transfer::into_file;
use storage_driver::MountMode;
use storage_layer::tree;

use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Write a container's files as a tar; what is mounted in it is not among them
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub common: Common,
    /// The tar; default: standard output, which must not be a terminal
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
    /// The container, by name or id
    container: String,
}

pub fn run(args: &ExportArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    let file = args.output.as_deref().filter(|path| *path != "-");
    if file.is_none() {
        not_to_a_terminal("--output FILE")?;
    }
    let driver = site.open(&record)?;
    // The mode in which its supervisor has it.
    let mounted = driver.mount(&record.layer, MountMode::ReadWrite)?;
    let written = match file {
        Some(path) => into_file(path.as_ref(), 0o600, |file| -> anyhow::Result<()> {
            tree::diff(None, mounted.path(), file)?;
            Ok(())
        })
        .map_err(Failure::Failed),
        None => {
            let mut out = BufWriter::new(io::stdout());
            let written = tree::diff(None, mounted.path(), &mut out).map_err(|error| Failure::Failed(error.into()));
            written.and_then(|_| Ok(out.flush()?))
        }
    };
    mounted.close()?;
    written
}

/// Archives are nothing for the eye.
pub fn not_to_a_terminal(instead: &str) -> Result {
    if io::stdout().is_terminal() {
        return Err(Failure::usage(format!("an archive is not written to a terminal; use {instead}, or redirect")));
    }
    Ok(())
}
