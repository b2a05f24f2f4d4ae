//! The key figures: one line a driver, its median and interval on a common scale.

use maud::{Markup, html};
use plotters::style::RGBColor;

use super::{
    Named,
    cells::{Answer, KEYS, is_interval, shown, shown_whole},
    words::capital,
};
use crate::{
    Summary,
    charts::{Looks, Pattern, on_kernel},
};

const WIDTH: f64 = 520.0;
const LEFT: f64 = 120.0;
/// A value in the larger type of a phone.
const RIGHT: f64 = 104.0;
const LINE: f64 = 30.0;

pub fn all(runs: &[Named<'_>]) -> Markup {
    html! {
        p.note { "Medians with their 95 % intervals; shorter is cheaper. Where the dearest takes more than twenty times the cheapest, the scale is "
            "logarithmic, which is said. Point at a bar for its numbers." }
        @for named in runs {
            @if !named.label.is_empty() { h3 { (named.label) } }
            @let looks = Looks::of(named.run.summaries.iter().map(|summary| summary.driver.as_str()));
            div.figures {
                @for answer in KEYS.iter().filter_map(|key| key.answer(named.run)) { (figure(&answer, &looks)) }
            }
        }
    }
}

fn figure(answer: &Answer<'_>, looks: &Looks<'_>) -> Markup {
    let scale = Scale::of(&answer.cells);
    let height = LINE * answer.cells.len() as f64 + 4.0;
    html! {
        figure.key {
            figcaption { (capital(&answer.what)) @if scale.is_log() { span.note { " (logarithmic)" } } }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label={ (answer.what) ": " (spoken(answer)) } {
                @for (index, cell) in answer.cells.iter().enumerate() { (bar(cell, index as f64 * LINE + 2.0, &scale, looks)) }
            }
        }
    }
}

fn bar(cell: &Summary, top: f64, scale: &Scale, looks: &Looks<'_>) -> Markup {
    let look = looks.driver(&cell.driver);
    let RGBColor(r, g, b) = look.colour;
    let colour = format!("rgb({r},{g},{b})");
    let is_plain = look.pattern == Pattern::Plain;
    let middle = top + LINE / 2.0;
    let width = round(scale.at(cell.median) - LEFT);
    let (low, high) = (scale.at(cell.ci_low), scale.at(cell.ci_high));
    html! {
        g {
            title { (cell.driver) ": " (shown_whole(cell)) "; " (cell.workload) " " (cell.params) ", " (cell.phase) }
            rect x="0" y=(top) width=(WIDTH) height=(LINE) fill="transparent" {}
            (name(&cell.driver, middle))
            rect x=(LEFT) y=(top + 5.0) width=(width) height=(LINE - 10.0) rx="2" fill=(colour)
                fill-opacity=(if is_plain { "1" } else { "0.2" }) {}
            @if !is_plain { path.hatching d=(hatching(look.pattern, top, width)) stroke=(colour) {} }
            @if is_interval(cell) { path.whisker d=(whisker(low, high, middle)) {} }
            text.value x=(round(scale.at(cell.ci_high.max(cell.median)) + 8.0)) y=(middle + 5.0) { (shown(cell)) }
        }
    }
}

/// A kernel has a line of its own below the driver's.
fn name(driver: &str, middle: f64) -> Markup {
    let (driver, kernel) = on_kernel(driver);
    let x = LEFT - 10.0;
    html! {
        text.name x=(x) y=(if kernel.is_some() { middle } else { middle + 5.0 }) text-anchor="end" { (short(driver, 15)) }
        @if let Some(kernel) = kernel { text.kernel x=(x) y=(middle + 12.0) text-anchor="end" { (short(kernel, 14)) } }
    }
}

/// A bar's outline and what fills it.
fn hatching(pattern: Pattern, top: f64, width: f64) -> String {
    let edge = |value: f64| value.round() as i32;
    let (left, right) = (edge(LEFT), edge(LEFT + width));
    let (top, bottom) = (edge(top + 5.0), edge(top + LINE - 5.0));
    let mut path = format!("M{left} {top}H{right}V{bottom}H{left}Z");
    for line in pattern.hatching(left, top, right, bottom) {
        let points: Vec<_> = line.iter().map(|(x, y)| format!("{x} {y}")).collect();
        path += &format!("M{}", points.join("L"));
    }
    path
}

fn whisker(low: f64, high: f64, middle: f64) -> String {
    let (low, high, top) = (round(low), round(high), middle - 5.0);
    format!("M{low} {middle}H{high}M{low} {top}v10M{high} {top}v10")
}

struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(cells: &[&Summary]) -> Self {
        let values = || cells.iter().flat_map(|s| [s.median, s.ci_low, s.ci_high]).filter(|value| value.is_finite());
        let high = values().fold(f64::MIN_POSITIVE, f64::max);
        let low = values().fold(high, f64::min);
        // Zero has no logarithm; a bar that begins a little below the lowest is still seen.
        let low = if low > 0.0 && high / low > 20.0 { low / 2.0 } else { 0.0 };
        Self { low, high }
    }

    fn is_log(&self) -> bool {
        self.low > 0.0
    }

    fn at(&self, value: f64) -> f64 {
        let share =
            if self.is_log() { (value / self.low).ln() / (self.high / self.low).ln() } else { value / self.high };
        LEFT + (WIDTH - LEFT - RIGHT) * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn spoken(answer: &Answer<'_>) -> String {
    let each: Vec<_> = answer.cells.iter().map(|cell| format!("{} {}", cell.driver, shown(cell))).collect();
    each.join(", ")
}

fn short(name: &str, most: usize) -> String {
    let mut short: String = name.chars().take(most).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}
