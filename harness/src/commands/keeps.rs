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
    // A document that cannot take the table is told of at once.
    let document = document.map(Document::read).transpose()?;
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
                say(&format!("{}: {} things to try out", entry.name, keeps::rows().len()));
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
        Some(document) => document.write(&text),
    }
}

/// A document with a place for the table.
struct Document<'a> {
    path: &'a Path,
    before: String,
    after: String,
}

impl<'a> Document<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) =
            parts.ok_or_else(|| Failure::usage(format!("{} lacks the lines {BEGIN} and {END}", path.display())))?;
        Ok(Self { path, before: before.to_owned(), after: after.to_owned() })
    }

    fn write(&self, text: &str) -> Result {
        let new = format!("{}{BEGIN}\n\n{text}\n{END}{}", self.before, self.after);
        Ok(std::fs::write(self.path, new).with_context(|| format!("cannot write {}", self.path.display()))?)
    }
}
