//! A straight line through points.

/// The slope of the line with the least squared distances to the values at 0, 1, 2, ...; 0 for fewer than two.
pub(crate) fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n;
    let (mut above, mut below) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let from_middle = index as f64 - middle;
        above += from_middle * (value - mean);
        below += from_middle * from_middle;
    }
    if below == 0.0 { 0.0 } else { above / below }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_slope() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        close(slope(&[5.0, 5.0, 5.0]), 0.0);
        close(slope(&[1.0, 3.0, 5.0, 7.0]), 2.0);
        close(slope(&[0.0, 3.0, 0.0, 3.0]), 0.6);
        close(slope(&[9.0]), 0.0);
        close(slope(&[]), 0.0);
    }
}
