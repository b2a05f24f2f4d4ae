//! The report, and its three forms.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{CaseReport, Outcome};

/// What became of all cases that were run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the drivers, and of the suite.
    pub cases: Vec<CaseReport>,
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Everything held.
    pub passed: usize,
    /// Something did not.
    pub failed: usize,
    /// The case meant nothing here.
    pub not_applicable: usize,
}

impl Report {
    /// How many cases ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in &self.cases {
            match case.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::NotApplicable(_) => counts.not_applicable += 1,
            }
        }
        counts
    }

    /// Whether no case failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.counts().failed == 0
    }

    /// Puts another driver's cases behind these.
    pub fn extend(&mut self, other: Self) {
        self.cases.extend(other.cases);
    }

    /// Lines for people: one a case, what went wrong below it, and the sum.
    #[must_use]
    pub fn to_table(&self) -> String {
        let width = |text: fn(&CaseReport) -> usize| self.cases.iter().map(text).max().unwrap_or(0);
        let subjects = width(|case| case.subject.len());
        let names = width(|case| case.group.len() + 2 + case.name.len());
        let mut table = String::new();
        for case in &self.cases {
            let name = format!("{}::{}", case.group, case.name);
            let (word, text) = match &case.outcome {
                Outcome::Passed => ("ok", None),
                Outcome::Failed(text) => ("FAILED", Some(text)),
                Outcome::NotApplicable(why) => ("n/a", Some(why)),
            };
            let milliseconds = case.duration.as_secs_f64() * 1e3;
            _ = writeln!(table, "{:subjects$}  {name:names$}  {word:6}  {milliseconds:8.1} ms", case.subject);
            if let Some(text) = text {
                _ = writeln!(table, "{:subjects$}    {text}", "");
            }
        }
        let Counts { passed, failed, not_applicable } = self.counts();
        _ = writeln!(table, "{passed} passed, {failed} failed, {not_applicable} not applicable here");
        table
    }

    /// One JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Row<'a> {
            driver: &'a str,
            group: &'a str,
            case: &'a str,
            outcome: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<&'a str>,
            duration_s: f64,
        }
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            counts: Counts,
            cases: Vec<Row<'a>>,
        }
        fn row(case: &CaseReport) -> Row<'_> {
            let CaseReport { subject, group, name, outcome, duration } = case;
            let (outcome, text) = match outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(text) => ("failed", Some(&**text)),
                Outcome::NotApplicable(why) => ("not-applicable", Some(&**why)),
            };
            Row { driver: subject, group, case: name, outcome, text, duration_s: duration.as_secs_f64() }
        }
        let document = Document { schema: 1, counts: self.counts(), cases: self.cases.iter().map(row).collect() };
        // Strings, numbers and lists cannot fail to serialise.
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }

    /// JUnit's XML, one test suite a driver, as CI systems read it.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        let mut subjects: Vec<&str> = self.cases.iter().map(|case| &*case.subject).collect();
        subjects.dedup();
        for subject in subjects {
            let cases: Vec<_> = self.cases.iter().filter(|case| case.subject == subject).cloned().collect();
            let suite = Self { cases };
            let Counts { failed, not_applicable, .. } = suite.counts();
            let seconds: f64 = suite.cases.iter().map(|case| case.duration.as_secs_f64()).sum();
            _ = writeln!(
                xml,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{not_applicable}\" time=\"{seconds:.6}\">",
                escape(subject),
                suite.cases.len(),
            );
            suite.cases.iter().for_each(|case| junit_case(&mut xml, case));
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn junit_case(xml: &mut String, case: &CaseReport) {
    let class = escape(&format!("{}.{}", case.subject, case.group));
    let (name, seconds) = (escape(&case.name), case.duration.as_secs_f64());
    _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.6}\"");
    _ = match &case.outcome {
        Outcome::Passed => writeln!(xml, "/>"),
        Outcome::Failed(text) => writeln!(xml, "><failure message=\"{}\"/></testcase>", escape(text)),
        Outcome::NotApplicable(why) => writeln!(xml, "><skipped message=\"{}\"/></testcase>", escape(why)),
    };
}

/// For an attribute; characters that XML 1.0 does not have become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report() -> Report {
        let case = |name: &str, outcome, milliseconds| CaseReport {
            subject: "overlay2".into(),
            group: "graphtest".into(),
            name: name.into(),
            outcome,
            duration: Duration::from_millis(milliseconds),
        };
        Report {
            cases: vec![
                case("create-empty", Outcome::Passed, 5),
                case("set-quota", Outcome::NotApplicable("no quota".into()), 1),
                case("changes", Outcome::Failed("expected <A>, got \"B\"".into()), 12),
            ],
        }
    }

    #[test]
    fn the_table_says_why() {
        let expected = "\
overlay2  graphtest::create-empty  ok           5.0 ms
overlay2  graphtest::set-quota     n/a          1.0 ms
            no quota
overlay2  graphtest::changes       FAILED      12.0 ms
            expected <A>, got \"B\"
1 passed, 1 failed, 1 not applicable here
";
        assert_eq!(report().to_table(), expected);
    }

    #[test]
    fn the_json_counts_and_lists() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(json["counts"]["failed"], 1);
        assert_eq!(json["cases"][1]["outcome"], "not-applicable");
        assert_eq!(json["cases"][2]["text"], "expected <A>, got \"B\"");
        assert!(json["cases"][0].get("text").is_none());
    }

    #[test]
    fn the_junit_report_is_escaped() {
        let xml = report().to_junit();
        assert!(xml.contains("<testsuite name=\"overlay2\" tests=\"3\" failures=\"1\" skipped=\"1\""));
        assert!(xml.contains("<failure message=\"expected &lt;A&gt;, got &quot;B&quot;\"/>"));
        assert_eq!(escape("a\u{1}b"), "a\u{fffd}b");
    }
}
