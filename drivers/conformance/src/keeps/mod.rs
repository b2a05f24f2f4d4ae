//! What a driver keeps of what a file system can do, measured: for people who must choose one.
//!
//! The cases say what every driver must get right; a [`Feature`] is something that drivers rightly differ in, or that people ask
//! about. Each is tried out on the driver, never looked up.

mod access;
mod attributes;
mod files;
mod limits;

use std::{fmt::Write as _, time::Instant};

use crate::{Context, Stop, Subject, Verdict, run::in_room_of_its_own};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// It is as on a plain directory.
    Yes,
    /// It is not, in this way.
    No(String),
    /// A number or a word.
    Value(String),
    /// The driver or this machine cannot be asked, for this reason.
    Unknown(String),
}

/// One thing that is asked of every driver.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// The row's name.
    pub name: &'static str,
    /// Finds out.
    measure: fn(&Context<'_>) -> Verdict<Cell>,
}

/// Writes a table of features: name, function.
macro_rules! features {
    ($($name:literal = $measure:path;)+) => {
        /// The features of this part.
        pub const FEATURES: &[$crate::keeps::Feature] =
            &[$($crate::keeps::Feature { name: $name, measure: $measure }),+];
    };
}
pub(crate) use features;

/// All of them, in the order of the table's rows.
#[must_use]
pub fn rows() -> Vec<Feature> {
    [attributes::FEATURES, files::FEATURES, access::FEATURES, limits::FEATURES].concat()
}

/// One driver's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The driver, as its [`Subject`] is called.
    pub subject: String,
    /// A cell for each of [`rows`].
    pub cells: Vec<Cell>,
}

/// Tries everything out on a driver, each on a fresh root.
///
/// # Errors
/// The name of the feature that could not be tried out, and why: a driver that fails where it need not is not one that lacks
/// something.
pub fn measure(subject: &dyn Subject) -> Result<Column, String> {
    let cell = |feature: &Feature| {
        let mut found = Cell::Yes;
        let started = Instant::now();
        let outcome = in_room_of_its_own(subject, |context| {
            found = (feature.measure)(context)?;
            Ok(())
        });
        tracing::debug!(driver = subject.name(), feature = feature.name, took = ?started.elapsed());
        match outcome {
            Ok(()) => Ok(found),
            Err(Stop::NotApplicable(why)) => Ok(Cell::Unknown(why)),
            Err(Stop::Failed(why)) => Err(format!("{}, {}: {why}", subject.name(), feature.name)),
        }
    };
    let cells = rows().iter().map(cell).collect::<Result<_, _>>()?;
    Ok(Column { subject: subject.name().to_owned(), cells })
}

/// A Markdown table with a column a driver; what is different is told below it.
#[must_use]
pub fn to_markdown(columns: &[Column]) -> String {
    let mut text = "|".to_owned();
    let mut notes: Vec<String> = Vec::new();
    let names: Vec<&str> = columns.iter().map(|column| column.subject.as_str()).collect();
    let _ = writeln!(text, " | {} |", names.join(" | "));
    let _ = writeln!(text, "| --- |{}", " --- |".repeat(columns.len()));
    for (row, feature) in rows().iter().enumerate() {
        let _ = write!(text, "| {} |", feature.name);
        for cell in columns.iter().filter_map(|column| column.cells.get(row)) {
            let _ = write!(text, " {} |", shown(cell, &mut notes));
        }
        text.push('\n');
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "{}. {note}", number + 1);
    }
    text
}

fn shown(cell: &Cell, notes: &mut Vec<String>) -> String {
    let mut note = |word: &str, why: &String| {
        let known = notes.iter().position(|note| note == why).unwrap_or_else(|| {
            notes.push(why.clone());
            notes.len() - 1
        });
        format!("{word} ({})", known + 1)
    };
    match cell {
        Cell::Yes => "yes".to_owned(),
        Cell::Value(value) => value.clone(),
        Cell::No(why) => note("no", why),
        Cell::Unknown(why) => note("?", why),
    }
}

/// `Yes` when something holds, else `No` with the reason.
fn yes_if(holds: bool, otherwise: &str) -> Cell {
    if holds { Cell::Yes } else { Cell::No(otherwise.to_owned()) }
}

/// The kernel's words without the number.
fn words(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        let rows = rows().len();
        let mut column = Column { subject: "a".to_owned(), cells: vec![Cell::Yes; rows] };
        column.cells[0] = Cell::No("the reason".to_owned());
        let mut other = Column { subject: "b".to_owned(), ..column.clone() };
        other.cells[1] = Cell::Value("12".to_owned());
        let text = to_markdown(&[column, other]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "| | a | b |");
        assert!(lines[2].ends_with("| no (1) | no (1) |") && lines[3].ends_with("| yes | 12 |"), "{text}");
        assert_eq!(lines.last(), Some(&"1. the reason"));
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = rows().iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), rows().len());
    }
}
