use std::collections::BTreeMap;

use super::change;
use crate::compare::{Comparison, Judgement, Verdict};

/// JUnit XML: a suite for each workload of each driver, a case for each cell.
#[must_use]
pub fn junit(comparison: &Comparison) -> String {
    let mut suites: BTreeMap<String, Vec<&Judgement>> = BTreeMap::new();
    for judgement in &comparison.judgements {
        let name = format!("{}.{}", judgement.cell.driver, judgement.cell.workload);
        suites.entry(name).or_default().push(judgement);
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    if !comparison.refused.is_empty() {
        text += "  <testsuite name=\"comparison\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n    <testcase \
                 classname=\"comparison\" name=\"identity\">\n";
        let differences: Vec<_> =
            comparison.refused.iter().map(|d| format!("{}: {} / {}", d.what, d.base, d.new)).collect();
        text +=
            &format!("      <error message=\"{}\"/>\n    </testcase>\n  </testsuite>\n", xml(&differences.join("; ")));
    }
    if comparison.refused.is_empty() && suites.is_empty() {
        let only = comparison.unmatched.join("; ");
        text += &format!(
            "  <testsuite name=\"comparison\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n    <testcase \
             classname=\"comparison\" name=\"cells\">\n      <error message=\"the two runs measured nothing in common: {}\"/>\n    \
             </testcase>\n  </testsuite>\n",
            xml(&only)
        );
    }
    for (name, judgements) in suites {
        let count = |wanted: &dyn Fn(Verdict) -> bool| judgements.iter().filter(|j| wanted(j.verdict)).count();
        text += &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">\n",
            xml(&name),
            judgements.len(),
            count(&|verdict| !verdict.is_passed()),
            count(&|verdict| verdict == Verdict::Unstable),
        );
        judgements.iter().for_each(|judgement| text += &case(&name, judgement));
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn case(suite: &str, judgement: &Judgement) -> String {
    let cell = &judgement.cell;
    let name = format!("{} {} {}", cell.params, cell.phase, cell.metric);
    let start = format!("    <testcase classname=\"{}\" name=\"{}\"", xml(suite), xml(name.trim_start()));
    let (base, new, by) = change(judgement);
    let message = xml(&format!("{}: {base} -> {new} {by}: {}", judgement.verdict, judgement.why));
    match judgement.verdict {
        verdict if !verdict.is_passed() => {
            format!("{start}>\n      <failure message=\"{message}\"/>\n    </testcase>\n")
        }
        Verdict::Unstable => format!("{start}>\n      <skipped message=\"{message}\"/>\n    </testcase>\n"),
        _ => start + "/>\n",
    }
}

/// Text as an attribute's value. Characters that XML 1.0 has no way to write are left out.
fn xml(text: &str) -> String {
    text.chars().filter(|c| *c >= ' ' || "\t\n\r".contains(*c)).fold(String::new(), |mut text, c| {
        match c {
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '&' => text += "&amp;",
            '"' => text += "&quot;",
            '\t' | '\n' | '\r' => text.push(' '),
            c => text.push(c),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Options, compare, tests::run};

    #[test]
    fn a_case_a_cell() {
        let text = junit(&compare(&run(4.0, 1.0), &run(40.0, 1.0), &Options::default()));
        assert!(text.contains("<testsuite name=\"vfs.commit\" tests=\"1\" failures=\"1\""), "{text}");
        assert!(text.contains("<failure message=\"regress: 4 -&gt; 40 10x: every round"), "{text}");
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let empty = crate::Recorded { samples: Vec::new(), ..run(4.0, 1.0) };
        let comparison = compare(&run(4.0, 1.0), &empty, &Options::default());
        assert!(!comparison.is_passed());
        let text = junit(&comparison);
        assert!(
            text.contains("errors=\"1\"") && text.contains("nothing in common: vfs commit (only in the base)"),
            "{text}"
        );
    }

    #[test]
    fn names_end_no_attribute() {
        assert_eq!(xml("a\"<&\u{1}"), "a&quot;&lt;&amp;");
    }
}
