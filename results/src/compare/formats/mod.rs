//! What a comparison looks like to people and to other programs.

mod bencher;
mod benchmark_action;
mod junit;
mod markdown;
mod table;

pub use self::{bencher::bencher, benchmark_action::benchmark_action, junit::junit, markdown::markdown, table::table};
use super::{Judgement, Side};
use crate::{Unit, table::quantity};

/// `4 -> 40 (+900 %)`.
fn change(judgement: &Judgement) -> (String, String, String) {
    let unit = judgement.cell.unit;
    let side = |side: Option<Side>| side.map_or_else(|| "-".to_owned(), |side| quantity(side.median, unit));
    let by = match (judgement.ratio, judgement.base, judgement.new) {
        (Some(ratio), ..) => percent(ratio.ratio),
        (None, Some(base), Some(new)) if base.median != 0.0 => percent(new.median / base.median),
        (None, Some(_), Some(new)) if new.median != 0.0 => "from 0".to_owned(),
        _ => String::new(),
    };
    (side(judgement.base), side(judgement.new), by)
}

fn percent(ratio: f64) -> String {
    if ratio >= 10.0 {
        return format!("{ratio:.0}x");
    }
    format!("{:+.1} %", 100.0 * (ratio - 1.0))
}

/// As other programs spell it.
const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Count => "count",
        Unit::Ratio => "ratio",
    }
}
