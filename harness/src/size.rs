//! Sizes as docker reads them: `512m`, `2g`, in powers of 1024.

use storage_driver::Bytes;

/// Reads a size; the error is for people.
pub fn parse(text: &str) -> Result<Bytes, String> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches("ib").trim_end_matches('b');
    let (digits, factor) = match number.chars().last() {
        Some('k') => (&number[..number.len() - 1], 1 << 10),
        Some('m') => (&number[..number.len() - 1], 1 << 20),
        Some('g') => (&number[..number.len() - 1], 1 << 30),
        Some('t') => (&number[..number.len() - 1], 1 << 40),
        _ => (number, 1_u64),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).filter(|bytes| *bytes > 0);
    bytes.map(Bytes).ok_or_else(|| format!("{text:?} is no size; write 512m or 2g"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in
            [("1", 1), ("4k", 4096), ("512M", 512 << 20), ("2gb", 2 << 30), ("1GiB", 1 << 30), ("7b", 7)]
        {
            assert_eq!(parse(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "0", "m", "-1m", "1.5g", "99999999999t", "12x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
