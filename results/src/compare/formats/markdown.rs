use super::{change, table::summary};
use crate::compare::Comparison;

/// GitHub cuts comments at 65,536 characters.
const MOST: usize = 100;

/// For a pull request.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = format!("### Copy-on-write cost: {}\n\n", comparison.verdict());
    if !comparison.refused.is_empty() {
        text += "The two runs cannot be compared:\n\n| | base | new |\n| --- | --- | --- |\n";
        for difference in &comparison.refused {
            let cells = [&difference.what, &difference.base, &difference.new].map(|text| escaped(text));
            text += &format!("| {} |\n", cells.join(" | "));
        }
        return text;
    }
    let notable: Vec<_> = comparison.notable().collect();
    if !notable.is_empty() {
        text += "| | cell | base | new | change | why |\n| --- | --- | ---: | ---: | ---: | --- |\n";
        for judgement in notable.iter().take(MOST) {
            let (base, new, by) = change(judgement);
            let cells = [judgement.cell.to_string(), base, new, by, judgement.why.clone()].map(|text| escaped(&text));
            text += &format!("| **{}** | {} |\n", judgement.verdict, cells.join(" | "));
        }
        if notable.len() > MOST {
            text += &format!("\n... and {} more.\n", notable.len() - MOST);
        }
        text.push('\n');
    }
    for group in &comparison.unmatched {
        text += &format!("Not compared: {}\n\n", escaped(group));
    }
    text + &summary(comparison) + "\n"
}

/// Names come from runs that others made.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, c| {
        match c {
            '\n' | '\r' => text.push(' '),
            '<' => text += "&lt;",
            '&' => text += "&amp;",
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => text.extend(['\\', c]),
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
    fn a_table_of_what_changed() {
        let text = markdown(&compare(&run(4.0, 1.0), &run(40.0, 1.0), &Options::default()));
        assert!(text.starts_with("### Copy-on-write cost: regress\n"), "{text}");
        assert!(
            text.contains("| **regress** | vfs commit\\[case=many\\] all device\\_flushes | 4 | 40 | 10x |"),
            "{text}"
        );
    }

    #[test]
    fn names_make_no_table_of_their_own() {
        assert_eq!(escaped("a|b\n<img>"), "a\\|b &lt;img>");
    }
}
