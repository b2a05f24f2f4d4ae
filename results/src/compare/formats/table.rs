use super::change;
use crate::{
    compare::{Comparison, Verdict},
    table::aligned,
};

/// For a terminal: what is not the same, the worst first, and how many cells are.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for difference in &comparison.refused {
        let crate::compare::Difference { what, base, new } = difference;
        text += &format!("{what}: {base} in the base, {new} in what is new\n");
    }
    if !comparison.refused.is_empty() {
        return text + "incomparable: run both sides here (--rebase REVISION)\n";
    }
    let rows: Vec<Vec<String>> = comparison
        .notable()
        .map(|judgement| {
            let (base, new, by) = change(judgement);
            let cell = format!("{:<12}  {}", judgement.verdict, shortened(&judgement.cell.to_string()));
            vec![cell, base, new, by, judgement.why.clone()]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["", "base", "new", "change", "why"].map(str::to_owned);
        text += &aligned(&header, &rows);
        text.push('\n');
    }
    for group in &comparison.unmatched {
        text += &format!("not compared: {group}\n");
    }
    text + &summary(comparison) + "\n"
}

/// A cell's name with its end, which says what was measured; instructions of a Dockerfile may be long.
fn shortened(name: &str) -> String {
    const MOST: usize = 110;
    let length = name.chars().count();
    if length <= MOST {
        return name.to_owned();
    }
    let (head, tail) = (MOST / 2, MOST - MOST / 2 - 1);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(length - tail)).collect()
}

/// `regress: 3,950 cells: 3,947 pass, 3 regress; times were not judged, since the rounds are no pairs`.
pub(super) fn summary(comparison: &Comparison) -> String {
    let counts = comparison.counts();
    let parts: Vec<String> = Verdict::ALL
        .iter()
        .filter_map(|verdict| counts.get(verdict).map(|count| format!("{count} {verdict}")))
        .collect();
    let times = if comparison.paired { "" } else { "; times are not judged, since the rounds are no pairs" };
    let cells = match comparison.judgements.len() {
        0 => "nothing that both runs have".to_owned(),
        count => format!("{count} cells: {}", parts.join(", ")),
    };
    format!("{}: {cells}{times}", comparison.verdict())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Options, compare, tests::run};

    #[test]
    fn says_what_got_worse_and_by_how_much() {
        let table = table(&compare(&run(4.0, 1.0), &run(40.0, 1.0), &Options::default()));
        assert!(table.contains("regress"), "{table}");
        assert!(table.contains("vfs commit[case=many] all device_flushes"), "{table}");
        assert!(table.contains("10x"), "{table}");
        assert!(table.ends_with("regress: 1 cells: 1 regress; times are not judged, since the rounds are no pairs\n"));
    }
}
