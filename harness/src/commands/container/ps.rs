use clap::Args;
use harness_container::{Record, State, Status};
use harness_network::PortMapping;
use serde_json::{Value, json};
use storage_driver::Timestamp;

use super::format;
use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    table,
};

/// List containers
#[derive(Debug, Args)]
pub struct PsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show all containers, also those that do not run
    #[arg(long, short)]
    all: bool,
    /// Only those that fit: id=, name=, status=, exited=, label=NAME[=VALUE], ancestor=IMAGE, volume=, health=
    #[arg(long, short, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// The newest ones only, whether they run or not
    #[arg(long, short = 'n', value_name = "N")]
    last: Option<usize>,
    /// The newest one only, whether it runs or not
    #[arg(long, short)]
    latest: bool,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// Print ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.ID}} {{.Names}}'
    #[arg(long, default_value = "table")]
    format: String,
}

/// One container.
struct Shown {
    record: Record,
    state: State,
    status: Status,
}

pub fn run(args: &PsArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let mut shown = Vec::new();
    for (record, status) in site.containers.list()? {
        let state = site.containers.state(&record.id)?.0;
        shown.push(Shown { record, state, status });
    }
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    let newest = args.last.or(args.latest.then_some(1));
    let any_status = args.all || newest.is_some() || filters.iter().any(Filter::names_a_status);
    shown.retain(|one| (any_status || one.status.is_alive()) && Filter::all_take(&filters, one));
    shown.truncate(newest.unwrap_or(usize::MAX));
    if args.quiet {
        return print(&shown.iter().map(|one| id(args, &one.record) + "\n").collect::<String>());
    }
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    match args.format.as_str() {
        "table" => {
            let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "DRIVER", "NAMES"];
            let rows: Vec<_> = shown.iter().map(|one| row(args, one, now)).collect();
            print(&table::columns(&header, &rows))
        }
        "json" => print(&shown.iter().map(|one| fields(args, one, now).to_string() + "\n").collect::<String>()),
        template => {
            let filled = shown.iter().map(|one| format::template(template, &fields(args, one, now)));
            print(&filled.map(|line| Ok(line? + "\n")).collect::<Result<String>>()?)
        }
    }
}

/// What a container has to be.
enum Filter {
    Id(String),
    Name(String),
    Status(String),
    Exited(i32),
    Label(String, Option<String>),
    Ancestor(String),
    Volume(String),
    Health(String),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| Failure::usage(format!("--filter takes NAME=VALUE, not {text:?}")))?;
        let value = value.to_owned();
        Ok(match name {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "status" => Self::Status(value),
            "exited" => Self::Exited(value.parse().map_err(|_| Failure::usage(format!("{value} is no exit status")))?),
            "label" => match value.split_once('=') {
                Some((name, value)) => Self::Label(name.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "ancestor" => Self::Ancestor(value),
            "volume" => Self::Volume(value),
            "health" => Self::Health(value),
            _ => {
                let known = "id, name, status, exited, label, ancestor, volume and health";
                return Err(Failure::usage(format!("there is no filter {name}; there are {known}")));
            }
        })
    }

    const fn names_a_status(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Exited(_))
    }

    /// Several filters of a kind are alternatives, those of different kinds have all to fit; as docker's.
    fn all_take(filters: &[Self], one: &Shown) -> bool {
        let kind = |filter: &Self| std::mem::discriminant(filter);
        filters.iter().all(|filter| filters.iter().any(|other| kind(other) == kind(filter) && other.takes(one)))
    }

    fn takes(&self, Shown { record, state, status }: &Shown) -> bool {
        match self {
            Self::Id(id) => record.id.starts_with(id),
            Self::Name(name) => record.name.contains(name.trim_start_matches('/')),
            Self::Status(name) => status.name() == name,
            Self::Exited(code) => *status == Status::Exited(*code),
            Self::Label(name, value) => {
                record.configuration.labels.get(name).is_some_and(|is| value.as_ref().is_none_or(|value| is == value))
            }
            Self::Ancestor(image) => {
                let digits = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
                record.image == *image
                    || record.image.strip_suffix(":latest") == Some(image)
                    || (image.len() >= 12 && digits(&record.image_id).starts_with(&digits(image)))
            }
            Self::Volume(volume) => {
                let target = |mount: &harness_container::Mount| mount.target.to_str() == Some(volume);
                record.configuration.volumes().any(|name| name == volume)
                    || record.configuration.mounts.iter().any(target)
            }
            Self::Health(health) => state.health.as_ref().map_or("none", |health| health.status.name()) == health,
        }
    }
}

fn row(args: &PsArgs, one: &Shown, now: u64) -> Vec<String> {
    let record = &one.record;
    vec![
        id(args, record),
        record.image.clone(),
        command(args, record),
        table::ago(now, record.created.0),
        told(one, now),
        ports(one),
        record.driver.clone(),
        record.name.clone(),
    ]
}

/// Docker's form: `0.0.0.0:8080->80/tcp`.
fn ports(one: &Shown) -> String {
    let published = one.state.network.iter().flat_map(|network| &network.ports);
    let port =
        |port: &PortMapping| format!("{}:{}->{}/{}", port.host_ip, port.host_port, port.container_port, port.protocol);
    published.map(port).collect::<Vec<_>>().join(", ")
}

fn command(args: &PsArgs, record: &Record) -> String {
    format!("{:?}", shortened(args, &record.configuration.words.join(" "), 20))
}

/// As docker says it: `Up 2 minutes (healthy)`, `Exited (0) 3 hours ago`.
fn told(Shown { record, state, status }: &Shown, now: u64) -> String {
    let since = |then: Option<Timestamp>| table::ago(now, then.unwrap_or(record.created).0);
    let up = || format!("Up {}", since(state.started).trim_end_matches(" ago"));
    match status {
        Status::Created => "Created".to_owned(),
        Status::Running => match &state.health {
            Some(health) => format!("{} ({})", up(), health.status.name()),
            None => up(),
        },
        Status::Paused => format!("{} (Paused)", up()),
        Status::Restarting => {
            format!("Restarting ({}) {}", state.status.unwrap_or_default(), since(state.finished))
        }
        Status::Exited(status) => format!("Exited ({status}) {}", since(state.finished)),
        Status::Dead => "Dead".to_owned(),
    }
}

fn id(args: &PsArgs, record: &Record) -> String {
    shortened(args, &record.id, 12)
}

fn shortened(args: &PsArgs, text: &str, length: usize) -> String {
    if args.no_trunc || text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length).collect()
}

fn fields(args: &PsArgs, one: &Shown, now: u64) -> Value {
    let Shown { record, state, status } = one;
    let labels: Vec<_> = record.configuration.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mounts: Vec<_> = record.configuration.mounts.iter().map(|mount| mount.target.display().to_string()).collect();
    json!({
        "ID": id(args, record), "Image": record.image, "Command": command(args, record), "Names": record.name,
        "Driver": record.driver, "State": status.name(), "Status": told(one, now), "ExitCode": state.status,
        "CreatedNs": record.created.0, "StartedNs": state.started.map(|at| at.0), "FinishedNs": state.finished.map(|at| at.0),
        "RunningFor": table::ago(now, record.created.0), "Labels": labels.join(","), "Mounts": mounts.join(","),
        "Ports": ports(one), "Pid": state.pid,
        "Health": state.health.as_ref().map(|health| health.status.name()),
    })
}
