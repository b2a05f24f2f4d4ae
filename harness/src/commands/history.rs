use clap::Args;
use harness_image::{HistoryStep, Image, Store, parse_rfc3339};
use storage_driver::Timestamp;

use crate::{
    cli::Common,
    commands::print,
    failure::{Result, images_failure},
    place::Place,
    table,
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
    /// How to print: table or json (one object a line)
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

pub fn run(args: &HistoryArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let image = Store::open(&place.images())?.resolve(&args.image).map_err(images_failure)?;
    let steps: Vec<_> = image.history().into_iter().rev().collect();
    if args.quiet {
        let rest = std::iter::repeat_n(MISSING, steps.len().saturating_sub(1));
        let id = id(args, &image);
        return print(&std::iter::once(id.as_str()).chain(rest).map(|id| format!("{id}\n")).collect::<String>());
    }
    if args.format == "json" {
        return print(&steps.iter().map(|step| json(step) + "\n").collect::<String>());
    }
    let mut id = Some(id(args, &image));
    let rows: Vec<_> = steps.iter().map(|step| row(args, step, id.take())).collect();
    print(&table::columns(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows))
}

/// In place of the id of an image that was not made of its own.
const MISSING: &str = "<missing>";

fn id(args: &HistoryArgs, image: &Image) -> String {
    if args.no_trunc { image.id.to_string() } else { image.short_id() }
}

/// Only the newest line has an image of its own, as docker shows it for images that were not built here step by step.
fn row(args: &HistoryArgs, step: &HistoryStep, id: Option<String>) -> Vec<String> {
    const SHOWN: usize = 60;
    let now = Timestamp::from_system(std::time::SystemTime::now()).0;
    let created = step.created.as_deref().and_then(parse_rfc3339);
    let mut text = step.created_by.replace('\n', " ");
    if !args.no_trunc && text.chars().count() > SHOWN {
        text = text.chars().take(SHOWN - 1).collect::<String>() + "…";
    }
    vec![
        id.unwrap_or_else(|| MISSING.to_owned()),
        created.map_or_else(String::new, |created| table::ago(now, created.0)),
        text,
        step.size().to_string(),
        step.comment.clone(),
    ]
}

fn json(step: &HistoryStep) -> String {
    serde_json::json!({
        "CreatedAt": step.created,
        "CreatedBy": step.created_by,
        "Comment": step.comment,
        "Size": step.size().get(),
        "Layer": step.layer.as_ref().map(|layer| layer.digest.to_string()),
    })
    .to_string()
}
