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
