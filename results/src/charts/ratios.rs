//! The chart of a comparison.

use super::{
    Picture,
    canvas::{Frame, svg},
    colours,
    forest::{Forest, Quotient},
};
use crate::{
    Error, Result,
    compare::{Comparison, Judgement, Thresholds, Verdict},
};

/// More rows nobody reads.
const MOST: usize = 60;

/// Times of two runs, new by base, the ones that grew most first; `None` where no time was compared.
///
/// # Errors
/// [`Error::Chart`].
pub fn ratios(comparison: &Comparison, thresholds: &Thresholds) -> Result<Option<Picture>> {
    super::register_fonts();
    let mut rows: Vec<_> = comparison.judgements.iter().filter_map(|judged| Some((judged, judged.ratio?))).collect();
    rows.sort_by(|(_, a), (_, b)| b.low.total_cmp(&a.low));
    if rows.is_empty() {
        return Ok(None);
    }
    let pairs = rows.iter().map(|(_, ratio)| ratio.pairs).max().unwrap_or(0);
    let row = |(judged, ratio): &(&Judgement, crate::compare::Ratio)| Quotient {
        label: judged.cell.to_string(),
        ratio: ratio.ratio,
        interval: (ratio.low, ratio.high),
        colour: match judged.verdict {
            Verdict::Regress => colours::ALARM,
            Verdict::Improve => colours::driver("btrfs"),
            _ => colours::FAINT,
        },
    };
    let shown: Vec<_> = rows.iter().take(MOST).map(row).collect();
    let chart = Forest {
        frame: Frame {
            title: "Times of the new run, as multiples of the base's".to_owned(),
            subtitle: "Beyond the red line with the whole interval, in both batches: it fails".to_owned(),
            legend: Vec::new(),
            caption: vec![format!(
                "Medians of the quotients of {pairs} pairs and their 95 % bootstrap intervals; {} of {} times; base {}, new {}.",
                shown.len(),
                rows.len(),
                comparison.base,
                comparison.new
            )],
        },
        rows: shown,
        threshold: 1.0 + thresholds.fail,
    };
    let svg = svg(&chart).map_err(|error| Error::Chart { path: "ratios".into(), why: error.to_string() })?;
    Ok(Some(Picture { name: "ratios".to_owned(), title: chart.frame.title, svg }))
}
