use std::{fmt::Write, path::Path};

use clap::Args;
use harness_container::Host;
use storage_driver::{Change, ChangeKind};

use crate::{cli::Common, commands::print, containers::Site, failure::Result, place::Place};

/// Where something is mounted in every container. What was made there for that is no change, as with docker.
const MOUNTED_ON: [&str; 6] = ["dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

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
    let changes = of_the_container(site.open(&record)?.changes(&record.layer)?);
    let mut text = String::new();
    // The root itself is no path that docker lists.
    for change in changes.iter().filter(|change| !change.path.as_os_str().is_empty()) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{change}");
    }
    print(&text)
}

/// Leaves out what was made to mount on, and `/etc` where that is all that has changed in it.
fn of_the_container(changes: Vec<Change>) -> Vec<Change> {
    let is_made = |change: &Change| {
        change.kind == ChangeKind::Added && MOUNTED_ON.iter().any(|place| change.path == Path::new(place))
    };
    let (made, mut own): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_made);
    let etc = Path::new("etc");
    let is_in_etc = |change: &Change| change.path.parent() == Some(etc);
    if made.iter().any(is_in_etc) && !own.iter().any(is_in_etc) {
        own.retain(|change| change.path != etc);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_were_made_to_mount_on_are_no_changes() {
        use ChangeKind::{Added, Deleted, Modified};
        let of = |changes: &[(ChangeKind, &str)]| {
            let changes = changes.iter().map(|(kind, path)| Change::new(*kind, *path)).collect();
            let left = of_the_container(changes);
            left.into_iter().map(|change| change.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(Added, "dev"), (Modified, "etc"), (Added, "etc/hosts"), (Added, "x")]), ["A /x"]);
        let new = [(Modified, "etc"), (Added, "etc/hosts"), (Added, "etc/new")];
        assert_eq!(of(&new), ["C /etc", "A /etc/new"]);
        // Nothing was made, so these are its own.
        assert_eq!(of(&[(Modified, "etc"), (Deleted, "proc")]), ["C /etc", "D /proc"]);
        assert_eq!(of(&[(Added, "proc/x")]), ["A /proc/x"]);
    }
}
