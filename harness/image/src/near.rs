//! Names that look like a mistyped one.

/// At most three of `names`, the nearest first; none that would surprise.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let limit = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(wanted, name).min(tag_only(wanted, name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The same repository under another tag is near, however long the tags.
fn tag_only(wanted: &str, name: &str) -> usize {
    let repository = |name: &str| name.rsplit_once(':').map_or(name, |(name, _)| name).to_owned();
    if repository(wanted) == repository(name) { 1 } else { usize::MAX }
}

/// Levenshtein's edit distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("tiny", "tinny", 1)] {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }

    #[test]
    fn only_what_could_have_been_meant() {
        let names = ["tiny:latest", "slim:latest", "tiny:3", "host:latest"];
        assert_eq!(nearest("tinny:latest", names), ["tiny:latest"]);
        assert_eq!(nearest("tiny:9.9.9", names), ["tiny:3", "tiny:latest"]);
        assert!(nearest("postgres:16", names).is_empty());
    }
}
