use std::fmt::Write;

use clap::Args;
use harness_container::Host;

use crate::{cli::Common, commands::print, containers::Site, failure::Result, place::Place};

/// List what a container changed in its files: A for added, C for changed, D for deleted
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    pub common: Common,
    /// The container, by name or id
    container: String,
}

pub fn run(args: &DiffArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    let changes = site.open(&record)?.changes(&record.layer)?;
    let mut text = String::new();
    // The root itself is no path that docker lists.
    for change in changes.iter().filter(|change| !change.path.as_os_str().is_empty()) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{change}");
    }
    print(&text)
}
