//! The summary in words, made of nothing but medians whose intervals do not overlap.

use maud::{Markup, html};

use super::{
    Named,
    cells::{Answer, KEYS, differ, is_interval, shown, times},
};
use crate::{Summary, Unit};

pub fn summary(runs: &[Named<'_>]) -> Markup {
    html! {
        @for named in runs {
            @if !named.label.is_empty() { h3 { (named.label) } }
            (of(named))
        }
    }
}

fn of(named: &Named<'_>) -> Markup {
    let answers: Vec<_> =
        KEYS.iter().filter_map(|key| key.answer(named.run)).filter(|answer| answer.cells.len() > 1).collect();
    let said: Vec<_> = answers.iter().filter_map(sentence).collect();
    let alike: Vec<_> = answers.iter().filter(|answer| sentence(answer).is_none()).collect();
    let (few, alike): (Vec<_>, Vec<_>) =
        alike.into_iter().partition(|answer| answer.cells.iter().any(|cell| !is_interval(cell)));
    html! {
        @if answers.is_empty() {
            p { "No two drivers measured the same key figure, so there is nothing to tell apart; the tables have what was measured." }
        }
        @if !said.is_empty() {
            p.lead { "Of " (answers.len()) " key figures " (said.len()) @if said.len() == 1 { " differs" } @else { " differ" }
                " between drivers by more than the intervals of the medians:" }
            ul.lead { @for text in &said { li { (text) } } }
        }
        @if !alike.is_empty() {
            p { "No difference beyond the intervals: " (list(&whats(&alike))) "." }
        }
        @if !few.is_empty() {
            p.note { "Measured too rarely (fewer than three values) to tell drivers apart: " (list(&whats(&few)))
                ". More rounds: " code { "--runs 5" } "." }
        }
        @let costs = of_measuring(&named.run.summaries);
        @if !costs.is_empty() {
            p.note { "Measuring itself costs every phase " (list(&costs)) ", as the workload " code { "empty" } " has it." }
        }
    }
}

/// What doing nothing came to: "0.4 µs and 31 µs of syncing on vfs".
fn of_measuring(summaries: &[Summary]) -> Vec<String> {
    let of = |driver: &str, metric: &str| {
        let is = |s: &&Summary| s.workload == "empty" && s.driver == driver && s.metric == metric;
        summaries.iter().find(is).map(shown)
    };
    let mut drivers: Vec<_> = summaries.iter().filter(|s| s.workload == "empty").map(|s| s.driver.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    drivers.retain(|driver| seen.insert(*driver));
    let cost = |driver: &&str| {
        let wall = of(driver, "wall")?;
        let sync = of(driver, "sync").map(|sync| format!(" and {sync} of syncing")).unwrap_or_default();
        Some(format!("{wall}{sync} on {driver}"))
    };
    drivers.iter().filter_map(cost).collect()
}

fn whats(answers: &[&Answer<'_>]) -> Vec<String> {
    answers.iter().map(|answer| answer.what.clone()).collect()
}

/// "First write to a file of 64 MiB: btrfs least (25 µs), 15× cheaper than overlay2 and 40× cheaper than vfs."
fn sentence(answer: &Answer<'_>) -> Option<Markup> {
    let (best, others) = answer.cells.split_first()?;
    let dearer: Vec<_> = others.iter().filter(|other| differ(best, other)).map(|other| against(best, other)).collect();
    if dearer.is_empty() {
        return None;
    }
    let equal: Vec<_> = others.iter().filter(|other| !differ(best, other)).map(|other| other.driver.clone()).collect();
    Some(html! {
        (capital(&answer.what)) ": " b { (best.driver) } " least (" (shown(best)) "), " (list(&dearer))
        @if !equal.is_empty() { "; " (list(&equal)) @if equal.len() == 1 { " is" } @else { " are" } " within the intervals" }
        "."
    })
}

fn against(best: &Summary, other: &Summary) -> String {
    if best.median > 0.0 {
        let verb = if best.unit == Unit::Seconds { "cheaper" } else { "less" };
        format!("{} {verb} than {}", times(other.median / best.median), other.driver)
    } else {
        format!("against {} of {}", shown(other), other.driver)
    }
}

/// With its first letter large.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
