//! What a reader needs to believe the numbers, and to get them again.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Named;
use crate::{RunRecord, Unit, table::quantity};

/// `complete`, or what became of it.
pub fn outcome(record: &RunRecord) -> &str {
    record.outcome.as_deref().unwrap_or("killed, or still running")
}

pub fn of(named: &Named<'_>) -> Markup {
    let record = &named.run.record;
    html! {
        @if !named.label.is_empty() { h3 { (named.label) } }
        @if record.outcome.as_deref() != Some("complete") {
            p.warning role="note" { "This run did not end as it should: " (outcome(record))
                ". What is shown is what was measured until then." }
        }
        h4 { "Again" }
        pre tabindex="0" { code { (command(&record.command)) } }
        div.columns {
            div { h4 { "Run" } (facts(&run(record))) }
            div { h4 { "Host" } (facts(&host(record))) }
        }
        h4 { "Drivers" }
        @for (name, driver) in &record.drivers {
            details {
                summary { (name) " on " (text(driver.testbed.get("testbed").unwrap_or(&serde_json::Value::Null))) }
                div.columns {
                    div { h5 { "Options in force, and what was probed" } (facts(&strings(&driver.status))) }
                    div { h5 { "Testbed" } (facts(&testbed(&driver.testbed))) }
                }
            }
        }
        (left_out(record))
        h4 { "Workloads" }
        details {
            summary { "Parameters in force" }
            dl { @for (name, params) in &record.workloads {
                dt { (name) }
                dd { @if params.is_empty() { "none" } @for (name, value) in params { code { (name) "=" (value) } " " } }
            } }
        }
        @if !record.images.is_empty() { details { summary { "Base images" } (facts(&strings(&record.images))) } }
    }
}

fn left_out(record: &RunRecord) -> Markup {
    html! {
        @if !record.unusable.is_empty() || !record.left_out.is_empty() {
            h4 { "Left out, and why" }
            ul {
                @for (driver, why) in &record.unusable { li { b { (driver) } ": " (why) } }
                @for (driver, what) in &record.left_out { @for (what, why) in what { li { b { (driver) } ", " (what) ": " (why) } } }
            }
        }
    }
}

type Facts = Vec<(String, String)>;

fn facts(facts: &Facts) -> Markup {
    html! { dl { @for (name, value) in facts { dt { (name) } dd { (value) } } } }
}

fn strings(map: &BTreeMap<String, String>) -> Facts {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn run(record: &RunRecord) -> Facts {
    let mut facts = vec![
        ("outcome", outcome(record).to_owned()),
        ("id", record.run.clone()),
        ("start", record.start.clone()),
        ("end", record.end.clone().unwrap_or_else(|| "not known".to_owned())),
        ("rounds", format!("{} measured, {} before them to warm up", record.rounds, record.warmup)),
        ("seed", record.seed.to_string()),
        ("harness", format!("{} {}", record.version, record.commit.as_deref().unwrap_or(""))),
        ("directory", record.directory.display().to_string()),
    ];
    if !record.resumed.is_empty() {
        facts.push(("resumed", record.resumed.join(", ")));
    }
    owned(facts)
}

fn host(record: &RunRecord) -> Facts {
    let host = &record.host;
    owned(vec![
        ("kernel", host.kernel.clone()),
        ("kernel configuration", host.kernel_config.clone().unwrap_or_else(|| "cannot be read".to_owned())),
        ("system", host.os.clone()),
        ("machine", host.machine.clone()),
        ("CPU", format!("{}, {} usable", host.cpu, host.cpus)),
        ("memory", quantity(host.memory as f64, Unit::Bytes)),
    ])
}

fn owned(facts: Vec<(&str, String)>) -> Facts {
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn testbed(value: &serde_json::Value) -> Facts {
    let Some(fields) = value.as_object() else { return Facts::new() };
    fields.iter().map(|(name, value)| (name.replace('_', " "), text(value))).collect()
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "an unknown testbed".to_owned(),
        other => other.to_string(),
    }
}

/// As a POSIX shell takes it.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
