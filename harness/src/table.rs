//! Tables as docker prints them: columns by spaces, no lines.

/// Columns wide enough for their longest cell, three spaces between them.
pub fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 3 - cell.chars().count()));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut table = line(&mut header.iter().copied());
    for row in rows {
        table.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    table
}

/// "5 minutes ago", as docker rounds it.
pub fn ago(now: u64, then: u64) -> String {
    let seconds = now.saturating_sub(then) / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let text = match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    };
    text + " ago"
}

/// A text of at most so many characters, with an ellipsis where some are missing.
pub fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

/// Four significant digits in binary units, in which docker prints amounts of memory: `23.54GiB`.
pub fn binary(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        v if v < 9.9995 => 3,
        v if v < 99.995 => 2,
        v if v < 999.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// RFC 3339's text of a time as docker's lists have it: `2026-11-23 16:21:52 +0000 UTC`.
pub fn moment(rfc3339: &str) -> String {
    let whole = rfc3339.trim_end_matches('Z').split('.').next().unwrap_or_default();
    if whole.is_empty() { String::new() } else { format!("{} +0000 UTC", whole.replacen('T', " ", 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_and_leaves_no_trailing_space() {
        let table =
            columns(&["NAME", "SIZE"], &[vec!["a-long-name".into(), "1B".into()], vec!["b".into(), String::new()]]);
        assert_eq!(table, "NAME          SIZE\na-long-name   1B\nb\n");
    }

    #[test]
    fn texts_and_times_are_shortened() {
        assert_eq!((shortened("abcd", 4), shortened("abcde", 4)), ("abcd".to_owned(), "abc…".to_owned()));
        assert_eq!(moment("2026-11-23T16:21:52.035998666Z"), "2026-11-23 16:21:52 +0000 UTC");
        assert_eq!(moment(""), "");
    }

    #[test]
    fn memory_reads_as_dockers_does() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (912 << 10, "912KiB"),
            (1_500_000, "1.431MiB"),
            (25_276_502_016, "23.54GiB"),
            (512 << 20, "512MiB"),
        ] {
            assert_eq!(binary(bytes), text);
        }
    }

    #[test]
    fn ages_read_as_dockers_do() {
        let second = 1_000_000_000;
        let cases = [
            (0, "Less than a second ago"),
            (59, "59 seconds ago"),
            (61, "About a minute ago"),
            (600, "10 minutes ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(ago(seconds * second, 0), text);
        }
        assert_eq!(ago(3600 * second, 0), "About an hour ago");
        assert_eq!(ago(3 * 24 * 3600 * second, 0), "3 days ago");
    }
}
