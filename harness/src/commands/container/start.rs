use clap::Args;
use harness_container::{Meant, RestartPolicy, Status};

use super::{attach::Manners, create::Made, each, run::in_front, supervise};
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Start containers that have ended, or were only made
#[derive(Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    pub common: Common,
    /// Stay in front of the container: its output, signals and exit status are this command's
    #[arg(long, short)]
    attach: bool,
    /// As --attach, and connect standard input, too
    #[arg(long, short)]
    interactive: bool,
    #[command(flatten)]
    manners: Manners,
    /// Start what a restart policy would have running, for when the machine starts: with always all that were ever started,
    /// with unless-stopped those that nobody stopped
    #[arg(long, conflicts_with_all = ["attach", "interactive", "containers"])]
    by_policy: bool,
    /// Containers, by name or id
    #[arg(required_unless_present = "by_policy", value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &StartArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    if args.by_policy {
        return start_by_policy(&site);
    }
    if !args.attach && !args.interactive {
        return each(&args.containers, |name| start(&site, name));
    }
    let [name] = args.containers.as_slice() else {
        return Err(Failure::usage("--attach and --interactive take one container"));
    };
    let (record, status) = site.look(name)?;
    if status.is_alive() {
        return Err(Failure::failed(format!("container {name} runs already; use attach")));
    }
    let held = site.hold(&record)?;
    // What was made without an input has none to connect.
    let stdin = args.interactive && record.configuration.open_stdin;
    in_front(Made { site, record, held }, None, Meant::output_and(stdin), &args.manners)
}

fn start_by_policy(site: &Site) -> Result {
    let mut names = Vec::new();
    for (record, status) in site.containers.list()? {
        let ended = matches!(status, Status::Dead | Status::Exited(_));
        let wanted = match record.configuration.restart {
            RestartPolicy::Always => ended,
            RestartPolicy::UnlessStopped => ended && !site.containers.state(&record.id)?.0.stopped,
            // As docker: what failed is started again by who looks after it, not by a start of the machine.
            RestartPolicy::OnFailure(_) | RestartPolicy::No => false,
        };
        names.extend(wanted.then_some(record.name));
    }
    // The oldest first: others may share their namespaces.
    names.reverse();
    each(&names, |name| start(site, name))
}

/// Starts a container in the background; one that runs already is left as it is.
pub fn start(site: &Site, name: &str) -> Result {
    let (record, status) = site.look(name)?;
    match status {
        Status::Paused => Err(Failure::failed(format!("container {name} is paused; use unpause"))),
        Status::Running | Status::Restarting => Ok(()),
        Status::Created | Status::Exited(_) | Status::Dead => supervise::start(site, &record, None),
    }
}
