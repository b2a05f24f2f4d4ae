//! Extended header records: `LENGTH KEY=VALUE\n` (pax(1), "pax Extended Header").

/// What stands before the name of an xattr. Values are raw bytes; star, GNU tar, Go and libarchive agree on it.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Appends one record; its length counts its own digits.
pub(crate) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) > digits(rest) {
        length = rest + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

const fn digits(mut number: usize) -> usize {
    let mut digits = 1;
    while number >= 10 {
        number /= 10;
        digits += 1;
    }
    digits
}

/// Iterates over the records of an extended header.
#[derive(Debug)]
pub(crate) struct Records<'a>(pub &'a [u8]);

impl<'a> Iterator for Records<'a> {
    /// Key and value, or why the header is malformed.
    type Item = Result<(&'a [u8], &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some writers fill the last block with NULs within the declared size.
        if self.0.iter().all(|&byte| byte == 0) {
            return None;
        }
        let record = take(self.0);
        match record {
            Ok((key, value, rest)) => {
                self.0 = rest;
                Some(Ok((key, value)))
            }
            Err(why) => {
                self.0 = &[];
                Some(Err(why))
            }
        }
    }
}

type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn take(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    const LENGTH: &str = "an extended header record has an invalid length";
    let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or(LENGTH)?;
    let length: usize = std::str::from_utf8(&bytes[..space])
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or(LENGTH)?;
    if length < space + 4 || length > bytes.len() {
        return Err(LENGTH);
    }
    let (record, rest) = bytes.split_at(length);
    let body = record[space + 1..].strip_suffix(b"\n").ok_or("an extended header record does not end its line")?;
    let equals = body.iter().position(|&byte| byte == b'=').ok_or("an extended header record has no '='")?;
    if equals == 0 {
        return Err("an extended header record has no keyword");
    }
    Ok((&body[..equals], &body[equals + 1..], rest))
}

/// The xattr name as a keyword. A keyword ends at the first `=`, so GNU tar and star write `=` and `%` in names
/// as `%3D` and `%25`.
pub(crate) fn xattr_keyword(name: &[u8]) -> Vec<u8> {
    let mut keyword = XATTR.to_vec();
    for &byte in name {
        match byte {
            b'%' => keyword.extend_from_slice(b"%25"),
            b'=' => keyword.extend_from_slice(b"%3D"),
            _ => keyword.push(byte),
        }
    }
    keyword
}

/// The opposite: the name behind [`XATTR`].
pub(crate) fn xattr_name(keyword: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(keyword.len());
    let mut rest = keyword;
    while let Some((&byte, after)) = rest.split_first() {
        let (decoded, after) = match rest {
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            _ => (byte, after),
        };
        name.push(decoded);
        rest = after;
    }
    name
}

/// Seconds and nanoseconds as a decimal number without superfluous digits.
pub(crate) fn time((seconds, nanos): (i64, u32)) -> String {
    if nanos == 0 {
        return seconds.to_string();
    }
    // Nanoseconds count forward from the second below: -2 s + 500 ms is "-1.5".
    let (sign, whole, part) = match seconds {
        0.. => ("", seconds.unsigned_abs(), nanos),
        _ => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanos),
    };
    format!("{sign}{whole}.{part:09}").trim_end_matches('0').to_owned()
}

/// The opposite; digits beyond nanoseconds are dropped.
pub(crate) fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(part) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{part:0<9}")[..9].parse().ok()?;
    match (negative, nanos) {
        (false, _) => Some((whole, nanos)),
        (true, 0) => Some((-whole, 0)),
        (true, _) => Some((-whole - 1, 1_000_000_000 - nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value in [0, 1, 85, 86, 87, 88, 89, 90, 980, 981, 982, 983, 984, 985, 990, 9_970, 9_980, 9_990] {
            let value = vec![b'v'; value];
            let mut out = Vec::new();
            push(&mut out, b"key", &value);
            let declared: usize = std::str::from_utf8(&out).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(declared, out.len());
            let records: Vec<_> = Records(&out).collect();
            assert_eq!(records, [Ok((&b"key"[..], value.as_slice()))]);
        }
    }

    #[test]
    fn malformed_records_are_named() {
        for bad in ["x", "7 a=b", "5 a=b\n", "99 a=b\n", "6 abc\n", "-6 a=b\n", "7 ab\nc\n", "6 =bc\n", " 6 a=b\n"] {
            assert!(Records(bad.as_bytes()).any(|record| record.is_err()), "{bad:?} was accepted");
        }
        assert_eq!(Records(b"6 a=b\n\0\0\0").count(), 1);
    }

    #[test]
    fn times_keep_every_nanosecond() {
        for (time_, text) in [
            ((0, 0), "0"),
            ((1, 500_000_000), "1.5"),
            ((1_700_000_000, 1), "1700000000.000000001"),
            ((-2, 500_000_000), "-1.5"),
            ((-1, 999_999_999), "-0.000000001"),
            ((-7, 0), "-7"),
        ] {
            assert_eq!(time(time_), text);
            assert_eq!(parse_time(text.as_bytes()), Some(time_));
        }
        assert_eq!(parse_time(b"1.0000000019"), Some((1, 1)));
        for bad in ["", "-", ".5", "1e3", "1.-5", "0x1", "99999999999999999999", "+1"] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad:?} was accepted");
        }
    }

    #[test]
    fn xattr_names_survive_their_keyword() {
        for name in [&b"user.a=b"[..], b"user.100%", b"user.%3D", b"user.\xff"] {
            let keyword = xattr_keyword(name);
            assert!(!keyword.contains(&b'='));
            assert_eq!(xattr_name(&keyword[XATTR.len()..]), name);
        }
    }
}
