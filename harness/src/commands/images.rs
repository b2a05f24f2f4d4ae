pub mod filter;

use clap::Args;
use harness_image::{Image, Reference, Store, parse_rfc3339};
use serde_json::json;
use storage_driver::Timestamp;

use self::filter::Filter;
use crate::{
    cli::Common,
    commands::{
        format::{self, List},
        print,
    },
    failure::Result,
    place::Place,
    table,
    template::Value,
};

/// List images
#[derive(Debug, Args)]
pub struct ImagesArgs {
    #[command(flatten)]
    pub common: Common,
    /// Only images of this name
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    /// Also intermediate images, of which this builder makes none
    #[arg(long, short)]
    pub all: bool,
    /// Only images of which this holds: before=IMAGE, since=IMAGE, until=TIME, dangling=true|false, label=NAME[=VALUE]
    /// or reference=PATTERN
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Print ids alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Print ids in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Show the digests of their manifests
    #[arg(long)]
    pub digests: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.Repository}}:{{.Tag}}' or
    /// 'table {{.ID}}\t{{.Size}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    pub format: String,
}

const TABLE: &str = r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const WITH_DIGESTS: &str = r"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

const HEADERS: [(&str, &str); 14] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
    ("Layers", "LAYERS"),
    ("SizeBytes", "BYTES"),
    ("Labels", "LABELS"),
];

pub fn run(args: &ImagesArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let store = Store::open(&place.images())?;
    let filters = args.filter.iter().map(|text| Filter::read(text, &store)).collect::<Result<Vec<_>>>()?;
    let images = store.list()?;
    let mut shown: Vec<(&Image, Option<&Reference>)> = Vec::new();
    for image in &images {
        if image.references.is_empty() {
            shown.push((image, None));
        }
        shown.extend(image.references.iter().map(|name| (image, Some(name))));
    }
    if let Some(wanted) = &args.name {
        shown.retain(|(_, name)| name.is_some_and(|name| is_called(name, wanted)));
    }
    shown.retain(|(image, name)| Filter::all_take(&filters, image, *name));
    if args.quiet {
        return print(&shown.iter().map(|(image, _)| id(args, image) + "\n").collect::<String>());
    }
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    let rows: Vec<_> = shown.iter().map(|(image, name)| fields(args, image, *name, now)).collect();
    let table = if args.digests { WITH_DIGESTS } else { TABLE };
    print(&List { format: &args.format, table, headers: &HEADERS }.text(&rows)?)
}

/// `name` stands for all its tags, `name:tag` for one.
fn is_called(name: &Reference, wanted: &str) -> bool {
    name.familiar_repository() == wanted || name.to_string() == wanted
}

/// Docker's fields, and what else is known.
fn fields(args: &ImagesArgs, image: &Image, name: Option<&Reference>, now: u64) -> Value {
    let none = || "<none>".to_owned();
    let size = image.size();
    let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
    let mut labels: Vec<_> = labels.into_iter().flatten().collect();
    labels.sort_unstable();
    let row = json!({
        "ID": id(args, image),
        "Repository": name.map_or_else(none, Reference::familiar_repository),
        "Tag": name.and_then(Reference::tag).map_or_else(none, str::to_owned),
        "Digest": image.manifest_digest.to_string(),
        "CreatedSince": created(image).map_or_else(String::new, |created| table::ago(now, created.0)),
        "CreatedAt": table::moment(image.config.created().as_deref().unwrap_or_default()),
        "Size": size.to_string(), "VirtualSize": size.to_string(),
        // As docker, which counts them for `system df` alone.
        "SharedSize": "N/A", "UniqueSize": "N/A", "Containers": "N/A",
        "Layers": image.layers().len(), "SizeBytes": size.get(), "Labels": format::labels(labels.iter().copied()),
    });
    format::with_labels(&row, labels)
}

/// When an image was made, as its configuration has it.
pub fn created(image: &Image) -> Option<Timestamp> {
    image.config.created().as_deref().and_then(parse_rfc3339)
}

fn id(args: &ImagesArgs, image: &Image) -> String {
    if args.no_trunc { image.id.to_string() } else { image.short_id() }
}
