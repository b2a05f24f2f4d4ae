//! The report, and its three forms.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::Fault;

/// What became of every step that was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One row for each driver, operation and fault.
    pub rows: Vec<Row>,
}

/// One operation of one driver under one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The driver.
    pub driver: String,
    /// The operation.
    pub operation: String,
    /// The fault; `None` when the operation did not do well even without one.
    pub fault: Option<Fault>,
    /// How many steps the fault was tried at.
    pub tried: usize,
    /// After how many of them nothing was wrong.
    pub survived: usize,
    /// Steps that the operation did not come to again, since its threads ran in another order.
    pub missed: usize,
    /// The others.
    pub lost: Vec<Lost>,
}

/// One step after which something was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its number among the steps that the fault concerns.
    pub step: usize,
    /// The system call.
    pub call: String,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl Row {
    pub(crate) fn new(driver: &str, operation: &str, fault: Option<Fault>) -> Self {
        let (driver, operation) = (driver.to_owned(), operation.to_owned());
        Self { driver, operation, fault, tried: 0, survived: 0, missed: 0, lost: Vec::new() }
    }

    fn fault_name(&self) -> &'static str {
        self.fault.map_or("none", Fault::name)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { driver, operation, tried, survived, .. } = self;
        write!(f, "{driver}: {} in {operation}: {survived} of {tried} steps survived", self.fault_name())
    }
}

impl Report {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.rows.iter().all(|row| row.lost.is_empty())
    }

    /// Steps tried, survived and lost, of all rows.
    #[must_use]
    pub fn totals(&self) -> (usize, usize, usize) {
        let sum = |count: fn(&Row) -> usize| self.rows.iter().map(count).sum();
        (sum(|row| row.tried), sum(|row| row.survived), sum(|row| row.lost.len()))
    }

    /// Puts another driver's rows behind these.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// For people: a table, then every loss.
    #[must_use]
    pub fn to_table(&self) -> String {
        let width =
            |heading: &str, text: fn(&Row) -> usize| self.rows.iter().map(text).max().unwrap_or(0).max(heading.len());
        let drivers = width("driver", |row| row.driver.len());
        let operations = width("operation", |row| row.operation.len());
        let mut table = String::new();
        let faults = width("fault", |row| row.fault_name().len());
        let heading = ("driver", "operation", "fault");
        _ = writeln!(
            table,
            "{:drivers$}  {:operations$}  {:faults$}  {:>5}  {:>8}  {:>4}",
            heading.0, heading.1, heading.2, "steps", "survived", "lost"
        );
        for row in &self.rows {
            let (driver, operation, fault) = (&row.driver, &row.operation, row.fault_name());
            _ = write!(
                table,
                "{driver:drivers$}  {operation:operations$}  {fault:faults$}  {:>5}  {:>8}  {:>4}",
                row.tried,
                row.survived,
                row.lost.len()
            );
            if row.missed > 0 {
                _ = write!(table, "  ({} not come to again)", row.missed);
            }
            table.push('\n');
        }
        for row in &self.rows {
            for lost in &row.lost {
                let (driver, operation, fault) = (&row.driver, &row.operation, row.fault_name());
                _ = writeln!(table, "\n{driver}: {fault} in {operation}, step {}: {}", lost.step, lost.call);
                for problem in &lost.problems {
                    _ = writeln!(table, "    {problem}");
                }
                if row.fault.is_some() {
                    let step = lost.step;
                    _ = writeln!(table, "    again: --driver {driver} --fault {fault} --only {operation}:{step}");
                }
            }
        }
        let (tried, survived, lost) = self.totals();
        _ = writeln!(table, "\n{tried} steps tried, {survived} survived, {lost} lost");
        table
    }

    /// One JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            tried: usize,
            survived: usize,
            lost: usize,
            #[serde(flatten)]
            report: &'a Report,
        }
        let (tried, survived, lost) = self.totals();
        let document = Document { schema: 1, tried, survived, lost, report: self };
        // Strings, numbers and lists cannot fail to serialise.
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }

    /// JUnit's XML: a test suite a driver, a test case a row.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        let mut drivers: Vec<&str> = self.rows.iter().map(|row| &*row.driver).collect();
        drivers.dedup();
        for driver in drivers {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.driver == driver).collect();
            let failed = rows.iter().filter(|row| !row.lost.is_empty()).count();
            let (name, tests) = (escape(driver), rows.len());
            _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\">");
            for row in rows {
                let (class, fault) = (escape(&format!("{driver}.{}", row.operation)), row.fault_name());
                _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{fault}\"");
                if row.lost.is_empty() {
                    xml.push_str("/>\n");
                    continue;
                }
                let said = |lost: &Lost| format!("step {}: {}: {}", lost.step, lost.call, lost.problems.join("; "));
                let all: Vec<_> = row.lost.iter().map(said).collect();
                let (lost, tried) = (row.lost.len(), row.tried);
                let text = escape(&all.join("\n"));
                _ = writeln!(xml, "><failure message=\"{lost} of {tried} steps lost\">{text}</failure></testcase>");
            }
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

/// For XML text and attributes; characters that XML 1.0 does not have become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut lossy = Row::new("vfs", "seal", Some(Fault::Kill));
        lossy.tried = 3;
        lossy.survived = 2;
        lossy.missed = 1;
        let problems = vec!["layer work is Absent & gone".to_owned()];
        lossy.lost.push(Lost { step: 2, call: "rename(a, \"b\")".to_owned(), problems });
        let mut fine = Row::new("vfs", "create-on", Some(Fault::EnospcOnce));
        (fine.tried, fine.survived) = (12, 12);
        Report { rows: vec![lossy, fine] }
    }

    #[test]
    fn the_table_says_what_was_lost_and_how_to_see_it_again() {
        let expected = "\
driver  operation  fault        steps  survived  lost
vfs     seal       kill             3         2     1  (1 not come to again)
vfs     create-on  enospc-once     12        12     0

vfs: kill in seal, step 2: rename(a, \"b\")
    layer work is Absent & gone
    again: --driver vfs --fault kill --only seal:2

15 steps tried, 14 survived, 1 lost
";
        assert_eq!(report().to_table(), expected);
        assert!(!report().is_ok());
    }

    #[test]
    fn the_json_counts_and_lists() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(json["lost"], 1);
        assert_eq!(json["rows"][0]["fault"], "kill");
        assert_eq!(json["rows"][0]["lost"][0]["step"], 2);
    }

    #[test]
    fn the_junit_report_is_escaped() {
        let xml = report().to_junit();
        assert!(xml.contains("<testsuite name=\"vfs\" tests=\"2\" failures=\"1\">"), "{xml}");
        assert!(xml.contains("rename(a, &quot;b&quot;): layer work is Absent &amp; gone"), "{xml}");
    }
}
