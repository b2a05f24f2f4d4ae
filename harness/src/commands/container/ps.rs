mod filter;
mod row;

use clap::Args;
use harness_container::{Record, State, Status};
use storage_driver::Timestamp;

use self::filter::Filter;
use super::size::Sizes;
use crate::{
    cli::Common,
    commands::{format::List, print},
    containers::Site,
    failure::Result,
    place::Place,
};

/// List containers
#[derive(Debug, Args)]
pub struct PsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show all containers, also those that do not run
    #[arg(long, short)]
    all: bool,
    /// Only those that fit: id=, name=, status=, exited=, label=NAME[=VALUE], ancestor=IMAGE, before=CONTAINER,
    /// since=CONTAINER, volume=, network=, publish=PORT[/udp], expose=PORT[/udp], health=
    #[arg(long, short, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// The newest ones only, whether they run or not; -1 for all
    #[arg(long, short = 'n', value_name = "N", allow_negative_numbers = true)]
    last: Option<i64>,
    /// The newest one only, whether it runs or not
    #[arg(long, short)]
    latest: bool,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// Print ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// Tell what their layers take, and what they take with their images
    #[arg(long, short)]
    size: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.ID}} {{.Names}}' or
    /// 'table {{.ID}}\t{{.Names}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    format: String,
}

impl PsArgs {
    /// Whether sizes are told, for which drivers are opened.
    pub fn opens_drivers(&self) -> bool {
        !self.quiet && (self.size || self.format.contains(".Size"))
    }
}

/// One container.
#[derive(Debug)]
struct Shown {
    record: Record,
    state: State,
    status: Status,
}

const TABLE: &str =
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Driver}}\t{{.Names}}";
const WITH_SIZE: &str =
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Driver}}\t{{.Names}}\t{{.Size}}";

const HEADERS: [(&str, &str); 22] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Driver", "DRIVER"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
    ("ExitCode", "EXIT CODE"),
    ("Pid", "PID"),
    ("Health", "HEALTH"),
    ("CreatedNs", "CREATED NS"),
    ("StartedNs", "STARTED NS"),
    ("FinishedNs", "FINISHED NS"),
];

pub fn run(args: &PsArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let shown = chosen(&site, args)?;
    if args.quiet {
        return print(&shown.iter().map(|one| row::id(args, &one.record) + "\n").collect::<String>());
    }
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    let mut sizes = args.opens_drivers().then(|| Sizes::new(&site));
    let fields = |one: &Shown| {
        let size = sizes.as_mut().map(|sizes| sizes.of(&one.record)).transpose()?;
        Ok(row::fields(args, one, size, now))
    };
    let rows = shown.iter().map(fields).collect::<Result<Vec<_>>>()?;
    let table = if args.size { WITH_SIZE } else { TABLE };
    print(&List { format: &args.format, table, headers: &HEADERS }.text(&rows)?)
}

/// Those that are asked for, newest first.
fn chosen(site: &Site, args: &PsArgs) -> Result<Vec<Shown>> {
    let filters = args.filter.iter().map(|text| Filter::read(text, site)).collect::<Result<Vec<_>>>()?;
    let newest = if args.latest { Some(1) } else { args.last.and_then(|last| usize::try_from(last).ok()) };
    let any_status = args.all || newest.is_some_and(|newest| newest > 0) || filters.iter().any(Filter::names_a_status);
    let mut shown = Vec::new();
    for (record, status) in site.containers.list()? {
        if any_status || status.is_alive() {
            let state = site.containers.state(&record.id)?.0;
            shown.push(Shown { record, state, status });
        }
    }
    shown.retain(|one| Filter::all_take(&filters, one));
    shown.truncate(newest.filter(|newest| *newest > 0).unwrap_or(usize::MAX));
    Ok(shown)
}
