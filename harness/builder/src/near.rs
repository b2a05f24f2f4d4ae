//! The name that a mistyped one was meant to be.

/// The nearest of `names`, unless even that would surprise.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    // A long word is near to nothing here, and comparing it would take long.
    if wanted.len() > 256 {
        return None;
    }
    let by_distance = names.into_iter().map(|name| (distance(wanted, name), name));
    by_distance.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
}

/// Edit distance in characters where swapping two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, from) in a.iter().enumerate() {
        let above = &rows[i];
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut cost = (above[j] + usize::from(from != to)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["RUN", "COPY", "ENV", "EXPOSE"];
        for (wanted, found) in
            [("RNU", Some("RUN")), ("COPPY", Some("COPY")), ("EXPSE", Some("EXPOSE")), ("WORLD", None)]
        {
            assert_eq!(nearest(wanted, names), found, "{wanted}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), names), None);
    }
}
