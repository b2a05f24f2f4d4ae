//! What drivers keep, measured on each: `conformance --keeps`.

use std::{fmt::Write as _, path::Path};

use anyhow::Context;
use driver_conformance::keeps;

use crate::{
    bed::Bed,
    commands::{conformance::ConformanceArgs, print},
    drivers,
    failure::{Failure, Result},
    place::Place,
    say,
};

/// Begins what is measured in a document; everything up to [`END`] is replaced.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Prints the table, or writes it between the marks of a document.
pub fn run(args: &ConformanceArgs, document: Option<&Path>) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let choice = drivers::choose(&args.driver)?;
    let mut columns = Vec::new();
    let mut beds = Vec::new();
    for entry in choice.entries {
        let (bed, why) = Bed::fresh(&place, entry)?;
        if let Some(why) = why {
            say(&format!("{} is measured on this machine's own file system: {why}", entry.name));
        }
        let column = match bed.try_out(entry) {
            Ok(()) => {
                beds.push(format!("{} on {}", entry.name, bed.about()));
                Some(keeps::measure(&bed.subject(entry)).map_err(Failure::failed))
            }
            Err(error) if choice.all => {
                say(&format!("{} cannot run here: {error}", entry.name));
                None
            }
            Err(error) => Some(Err(error.into())),
        };
        bed.close()?;
        columns.extend(column.transpose()?);
    }
    let mut text = keeps::to_markdown(&columns);
    let kernel = results::Fingerprint::of_this_host().kernel;
    let _ = writeln!(text, "\nMeasured on Linux {kernel}: {}.", beds.join(", "));
    match document {
        None => print(&text),
        Some(path) => replace(path, &text),
    }
}

/// Puts `text` between the marks of a document.
fn replace(path: &Path, text: &str) -> Result {
    let old = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let marks = || Failure::usage(format!("{} lacks the lines {BEGIN} and {END}", path.display()));
    let (before, rest) = old.split_once(BEGIN).ok_or_else(marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(marks)?;
    let new = format!("{before}{BEGIN}\n\n{text}\n{END}{after}");
    Ok(std::fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))?)
}
