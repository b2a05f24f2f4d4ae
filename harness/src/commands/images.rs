mod filter;

use clap::Args;
use harness_image::{Image, Reference, Store, parse_rfc3339};
use storage_driver::Timestamp;

use self::filter::Filter;
use crate::{cli::Common, commands::print, failure::Result, place::Place, table};

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
    /// Only images of which this holds: before=IMAGE, since=IMAGE, dangling=true|false, label=NAME[=VALUE] or
    /// reference=PATTERN
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Print ids alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Print ids in full
    #[arg(long)]
    pub no_trunc: bool,
    /// How to print: table or json (one object a line)
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

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
    let lines: String = match (args.quiet, args.format.as_str()) {
        (true, _) => shown.iter().map(|(image, _)| id(args, image) + "\n").collect(),
        (false, "json") => shown.iter().map(|(image, name)| json(image, *name) + "\n").collect(),
        _ => {
            let rows: Vec<_> = shown.iter().map(|(image, name)| row(args, image, *name)).collect();
            table::columns(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows)
        }
    };
    print(&lines)
}

/// `name` stands for all its tags, `name:tag` for one.
fn is_called(name: &Reference, wanted: &str) -> bool {
    name.familiar_repository() == wanted || name.to_string() == wanted
}

fn row(args: &ImagesArgs, image: &Image, name: Option<&Reference>) -> Vec<String> {
    let none = || "<none>".to_owned();
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    vec![
        name.map_or_else(none, Reference::familiar_repository),
        name.and_then(Reference::tag).map_or_else(none, str::to_owned),
        id(args, image),
        created(image).map_or_else(String::new, |created| table::ago(now, created.0)),
        image.size().to_string(),
    ]
}

fn created(image: &Image) -> Option<Timestamp> {
    image.config.created().as_deref().and_then(parse_rfc3339)
}

fn id(args: &ImagesArgs, image: &Image) -> String {
    if args.no_trunc { image.id.to_string() } else { image.short_id() }
}

fn json(image: &Image, name: Option<&Reference>) -> String {
    serde_json::json!({
        "ID": image.id.to_string(),
        "Repository": name.map(Reference::familiar_repository),
        "Tag": name.and_then(Reference::tag),
        "Digest": image.manifest_digest.to_string(),
        "CreatedAt": image.config.created(),
        "Size": image.size().get(),
        "Layers": image.layers().len(),
    })
    .to_string()
}
