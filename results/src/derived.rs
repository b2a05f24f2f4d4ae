//! Shapes: what counters come to when one is held against another.

use std::collections::BTreeMap;

use crate::{Kind, Params, Sample, Unit, growth::growth, rates::rates};

/// The parameter of `copyup` that its cells are a line over.
const SIZE: &str = "size";

/// What can be derived from these samples, round by round:
///
/// - of `copyup`, for each kind of write and depth, the line of the first write's allocated bytes over the file's size:
///   `allocated_slope` is 1 where the file is copied and 0 where its blocks are shared, `allocated_intercept` is what any
///   first write costs, such as one block of a thin pool; `device_written_slope` is the same of what the device wrote;
/// - `write_amplification`: bytes that the device wrote for a byte of a layer's content, where a workload records that;
/// - `space_amplification`: bytes that the driver allocated for one of them;
/// - `metadata_amplification`: bytes that the device wrote for each inode whose owner, mode or times changed;
/// - `first_write_penalty`: of `copyup`, how many times as long as the second write the first one takes;
/// - `bytes_per_second` and `entries_per_second` of `diff`, `apply`, `read`, `commit` and `metadata`, where what was done is counted;
/// - `wall_slope` of `density`, `lifecycle` and `database`: by how much each container, life or transaction takes longer than the last;
/// - `syscalls_per_entry` and `examined_per_entry` of layers that are exported, committed and imported.
#[must_use]
pub fn derive(samples: &[Sample]) -> Vec<Sample> {
    let mut derived = copy_up_lines(samples, "allocated_bytes");
    derived.extend(
        copy_up_lines(samples, "device_written_bytes")
            .into_iter()
            .filter(|shape| shape.metric == "device_written_slope"),
    );
    derived.extend(rates(samples));
    derived.extend(growth(samples));
    let content = |name| Amplification { name, per: &["content_bytes", "layer_bytes", "tar_bytes"], unit: Unit::Ratio };
    // Who only reads content amplifies nothing.
    let written = |sample: &Sample| sample.metric == "device_written_bytes" && sample.workload != "diff";
    derived.extend(content("write_amplification").of(samples, written));
    derived.extend(content("space_amplification").of(samples, |sample| sample.metric == "allocated_bytes"));
    let metadata = Amplification { name: "metadata_amplification", per: &["entries"], unit: Unit::Bytes };
    derived.extend(metadata.of(samples, |sample| {
        sample.metric == "device_written_bytes"
            && sample.workload == "metadata"
            && ["chown", "chmod", "touch"].contains(&&*sample.phase)
    }));
    derived
}

/// A cell of one round, without its metric.
type Place<'a> = (&'a str, &'a str, Params, &'a str, u32);

fn copy_up_lines(samples: &[Sample], metric: &str) -> Vec<Sample> {
    let mut lines: BTreeMap<Place<'_>, Vec<(f64, f64, &Sample)>> = BTreeMap::new();
    for sample in samples {
        if (sample.workload.as_str(), sample.phase.as_str(), sample.metric.as_str()) != ("copyup", "first", metric) {
            continue;
        }
        let Some(size) = sample.params.get(SIZE).and_then(|size| size.parse::<f64>().ok()) else { continue };
        let place =
            (&*sample.driver, &*sample.workload, sample.params.clone().without(SIZE), &*sample.phase, sample.round);
        lines.entry(place).or_default().push((size, sample.value, sample));
    }
    let shapes = lines.into_iter().filter_map(|((.., params, _, _), points)| {
        let (slope, intercept) = line(&points.iter().map(|(x, y, _)| (*x, *y)).collect::<Vec<_>>())?;
        let of = points[0].2;
        let stem = metric.trim_end_matches("_bytes");
        let shape = |name: &str, value, unit| Sample {
            params: params.clone(),
            metric: format!("{stem}_{name}"),
            value,
            unit,
            kind: Kind::Shape,
            ..of.clone()
        };
        Some([shape("slope", slope, Unit::Ratio), shape("intercept", intercept, Unit::Bytes)])
    });
    shapes.flatten().collect()
}

/// Least squares; `None` where all sizes are the same.
///
/// The sizes span orders of magnitude, so the largest decide the slope, and the intercept is the median of what is left.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|(x, _)| x).sum::<f64>() / n, points.iter().map(|(_, y)| y).sum::<f64>() / n);
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if spread == 0.0 || points.is_empty() {
        return None;
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    Some((slope, crate::median(&rest)))
}

/// A cost for each of what it is for.
struct Amplification {
    name: &'static str,
    /// The metrics that say how much it is for, best first.
    per: &'static [&'static str],
    unit: Unit,
}

impl Amplification {
    /// Where both are in one cell of one round.
    fn of(&self, samples: &[Sample], is_cost: impl Fn(&Sample) -> bool) -> Vec<Sample> {
        let mut cells: BTreeMap<Place<'_>, (Vec<&Sample>, BTreeMap<&str, f64>)> = BTreeMap::new();
        for sample in samples {
            let place = (&*sample.driver, &*sample.workload, sample.params.clone(), &*sample.phase, sample.round);
            if is_cost(sample) {
                cells.entry(place).or_default().0.push(sample);
            } else if self.per.contains(&&*sample.metric) {
                *cells.entry(place).or_default().1.entry(&sample.metric).or_default() += sample.value;
            }
        }
        let shapes = cells.into_values().filter_map(|(costs, amounts)| {
            let amount = self.per.iter().find_map(|name| amounts.get(name)).filter(|amount| **amount > 0.0)?;
            let first = costs.first()?;
            let cost: f64 = costs.iter().map(|sample| sample.value).sum();
            Some(Sample {
                metric: self.name.to_owned(),
                value: cost / amount,
                unit: self.unit,
                kind: Kind::Shape,
                ..(*first).clone()
            })
        });
        shapes.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;

    fn sample(driver: &str, workload: &str, params: &str, phase: &str, metric: &str, value: f64) -> Sample {
        Sample {
            schema: SCHEMA,
            run: "r".to_owned(),
            driver: driver.to_owned(),
            workload: workload.to_owned(),
            params: params.parse().unwrap(),
            round: 1,
            phase: phase.to_owned(),
            metric: metric.to_owned(),
            value,
            unit: Unit::Bytes,
            kind: Kind::Counter,
        }
    }

    fn value(derived: &[Sample], driver: &str, metric: &str) -> f64 {
        derived.iter().find(|s| s.driver == driver && s.metric == metric).unwrap().value
    }

    #[test]
    fn copying_is_a_slope_of_one_and_sharing_an_intercept() {
        let sizes = [4096.0, 65536.0, 1_048_576.0];
        let samples: Vec<_> = sizes
            .iter()
            .flat_map(|size| {
                let params = format!("depth=1;op=append;size={size}");
                [
                    sample("copies", "copyup", &params, "first", "allocated_bytes", size + 4096.0),
                    sample("shares", "copyup", &params, "first", "allocated_bytes", 65536.0),
                    sample("shares", "copyup", &params, "second", "allocated_bytes", 1.0),
                ]
            })
            .collect();
        let derived = derive(&samples);
        assert_eq!(derived.len(), 4);
        assert!((value(&derived, "copies", "allocated_slope") - 1.0).abs() < 1e-9);
        assert!((value(&derived, "copies", "allocated_intercept") - 4096.0).abs() < 1.0);
        assert!(value(&derived, "shares", "allocated_slope").abs() < 1e-9);
        assert_eq!(value(&derived, "shares", "allocated_intercept"), 65536.0);
        assert!(derived.iter().all(|s| s.kind == Kind::Shape && s.params.to_string() == "depth=1;op=append"));
    }

    #[test]
    fn one_size_is_no_line() {
        let samples = [sample("d", "copyup", "op=append;size=4096", "first", "allocated_bytes", 1.0)];
        assert_eq!(derive(&samples), []);
    }

    #[test]
    fn amplification_is_cost_over_content() {
        let cell = |metric, value| sample("d", "apply", "case=many", "apply", metric, value);
        let samples = [cell("content_bytes", 100.0), cell("tar_bytes", 400.0), cell("device_written_bytes", 250.0)];
        let derived = derive(&samples);
        assert_eq!(derived.len(), 1);
        let read = samples.map(|sample| Sample { workload: "diff".to_owned(), ..sample });
        assert_eq!(derive(&read), []);
        assert_eq!((derived[0].metric.as_str(), derived[0].value), ("write_amplification", 2.5));
    }

    #[test]
    fn changed_inodes_have_a_price_each() {
        let cell = |phase, metric, value| sample("d", "metadata", "tree=slim", phase, metric, value);
        let samples =
            ["chmod", "find"].map(|phase| [cell(phase, "entries", 10.0), cell(phase, "device_written_bytes", 40960.0)]);
        let derived = derive(&samples.concat());
        assert_eq!(derived.len(), 1);
        assert_eq!((derived[0].metric.as_str(), derived[0].value), ("metadata_amplification", 4096.0));
    }
}
