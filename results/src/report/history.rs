//! The key figures over the runs of one machine.

use maud::{Markup, PreEscaped, html};

use super::{
    Named,
    cells::{Answer, KEYS},
};
use crate::charts::{History, Moment, history, is_continued};

/// Nothing where less than two runs are of the machine that the latest is of.
pub fn chart(runs: &[Named<'_>]) -> Markup {
    let mut sorted: Vec<&Named<'_>> = runs.iter().collect();
    sorted.sort_by(|a, b| a.run.record.start.cmp(&b.run.record.start));
    let Some(last) = sorted.last().copied() else { return html! {} };
    let mine: Vec<&Named<'_>> =
        sorted.into_iter().filter(|named| is_continued(&named.run.record, &last.run.record)).collect();
    let records: Vec<_> = mine.iter().map(|named| &named.run.record).collect();
    let cells: Vec<History> = KEYS
        .iter()
        .filter_map(|key| {
            let answers = mine.iter().map(|named| key.answer(named.run)).collect::<Vec<_>>();
            cell(&answers)
        })
        .collect();
    // What cannot be drawn is in the tables.
    let Ok(Some(svg)) = history(&records, &cells) else { return html! {} };
    html! {
        figure {
            div.scroll tabindex="0" role="img" aria-label="Chart history" { (PreEscaped(svg)) }
            figcaption { "history" @if mine.len() < runs.len() {
                ": " (mine.len()) " of " (runs.len()) " runs; the others are of other machines, or were made in another way"
            } }
        }
    }
}

/// The figure that the latest run has, in all that have it.
fn cell(answers: &[Option<Answer<'_>>]) -> Option<History> {
    let last = answers.iter().flatten().next_back()?;
    let same = answers.iter().zip(1..).filter_map(|(answer, run)| {
        answer.as_ref().filter(|answer| answer.what == last.what).map(|answer| (run, answer))
    });
    let moments = same.flat_map(|(run, answer)| {
        answer.cells.iter().map(move |summary| Moment {
            run,
            driver: summary.driver.clone(),
            median: summary.median,
            interval: (summary.ci_low, summary.ci_high),
        })
    });
    Some(History { what: last.what.clone(), unit: last.cells.first()?.unit, moments: moments.collect() })
}
