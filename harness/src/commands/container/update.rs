use clap::Args;
use harness_container::{Configuration, Resources, RestartPolicy, Supervisor, limits_of};

use super::{each, exec::running, options::limits::LimitOptions};
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Change the limits of containers, also while they run, and when they are started again
#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    limits: LimitOptions,
    /// When to start them again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &UpdateArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let restart = args.restart.as_deref().map(str::parse::<RestartPolicy>).transpose().map_err(Failure::usage)?;
    each(&args.containers, |name| update(&site, name, &args.limits, restart))
}

fn update(site: &Site, name: &str, limits: &LimitOptions, restart: Option<RestartPolicy>) -> Result {
    let (record, status) = site.look(name)?;
    let before = &record.configuration;
    if record.auto_remove && restart.is_some_and(|policy| policy != RestartPolicy::No) {
        return Err(Failure::failed(format!(
            "container {name} goes with its end (--rm), so nothing can start it again"
        )));
    }
    let resources = limits.change(&before.resources)?;
    let configuration = Configuration { resources, restart: restart.unwrap_or(before.restart), ..before.clone() };
    Supervisor::check(&configuration).map_err(|error| Failure::usage(error.to_string()))?;
    if status.is_alive() && configuration.resources != before.resources {
        /// PID_MAX_LIMIT (include/linux/threads.h), as there is no word for a limit that is taken away.
        const ALL_PIDS: u64 = 1 << 22;
        let after = &configuration.resources;
        let pids_limit = after.pids_limit.or_else(|| before.resources.pids_limit.map(|_| ALL_PIDS));
        let limits = limits_of(&Resources { pids_limit, ..after.clone() })?;
        running(site, &record)?
            .set_limits(&limits)
            .map_err(|error| Failure::failed(format!("container {name}: {error}")))?;
    }
    Ok(site.containers.update(&record, configuration)?)
}
