use clap::Args;
use harness_image::{HistoryStep, Image, Store, parse_rfc3339};
use serde_json::json;
use storage_driver::Timestamp;

use crate::{
    cli::Common,
    commands::{format::List, print},
    failure::{Result, images_failure},
    place::Place,
    table,
    template::Value,
};

/// Show the instructions and layers of an image, newest first
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub common: Common,
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Print ids alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Print instructions in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Print sizes and times for people; with =false in bytes, and as they are recorded
    #[arg(long, short = 'H', default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL",
        hide_default_value = true)]
    pub human: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.CreatedBy}}: {{.Size}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    pub format: String,
}

const TABLE: &str = r"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

const HEADERS: [(&str, &str); 8] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
    ("Layer", "LAYER"),
    ("SizeBytes", "BYTES"),
];

pub fn run(args: &HistoryArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let image = Store::open(&place.images())?.resolve(&args.image).map_err(images_failure)?;
    // Only the newest line has an image of its own, as docker shows it for images that were not built here step by step.
    let ids = std::iter::once(id(args, &image)).chain(std::iter::repeat("<missing>".to_owned()));
    let steps = image.history().into_iter().rev().zip(ids);
    if args.quiet {
        return print(&steps.map(|(_, id)| id + "\n").collect::<String>());
    }
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    let rows: Vec<_> = steps.map(|(step, id)| fields(args, &step, &id, now)).collect();
    print(&List { format: &args.format, table: TABLE, headers: &HEADERS }.text(&rows)?)
}

fn id(args: &HistoryArgs, image: &Image) -> String {
    if args.no_trunc { image.id.to_string() } else { image.short_id() }
}

/// Docker's fields, and what else is known.
fn fields(args: &HistoryArgs, step: &HistoryStep, id: &str, now: u64) -> Value {
    const SHOWN: usize = 60;
    let recorded = step.created.as_deref().unwrap_or_default();
    let ago = || parse_rfc3339(recorded).map_or_else(String::new, |created| table::ago(now, created.0));
    let text = step.created_by.replace(['\n', '\t'], " ");
    Value::of(&json!({
        "ID": id,
        "CreatedSince": if args.human { ago() } else { recorded.to_owned() },
        "CreatedAt": recorded,
        "CreatedBy": if args.no_trunc { text } else { table::shortened(&text, SHOWN) },
        "Size": if args.human { step.size().to_string() } else { step.size().get().to_string() },
        "Comment": step.comment,
        "Layer": step.layer.as_ref().map(|layer| layer.digest.to_string()),
        "SizeBytes": step.size().get(),
    }))
}
