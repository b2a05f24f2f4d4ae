//! "Did you mean": the known name that is nearest to a mistyped one.

/// The nearest of `known` to `given`, if it is near enough to be what was meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = given.chars().count().max(3) / 3 + 1;
    let near = known.into_iter().map(|name| (distance(given, name), name)).filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, name)| name)
}

/// A sentence for an unknown name: "no driver is named \"overlay3\"; did you mean overlay2?".
pub fn unknown<'a>(what: &str, given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(given, known.clone()) {
        Some(name) => format!("no {what} is named {given:?}; did you mean {name}?"),
        None => {
            let all: Vec<_> = known.into_iter().collect();
            format!("no {what} is named {given:?}; there are: {}", all.join(", "))
        }
    }
}

/// Levenshtein distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let names = ["overlay2", "vfs", "btrfs", "devicemapper"];
        assert_eq!(nearest("overlay", names), Some("overlay2"));
        assert_eq!(nearest("Overlay3", names), Some("overlay2"));
        assert_eq!(nearest("vsf", names), Some("vfs"));
        assert_eq!(nearest("devicemaper", names), Some("devicemapper"));
        assert_eq!(nearest("zfs-on-root", names), None);
    }
}
