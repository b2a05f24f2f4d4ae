//! The page's content security policy: nothing is loaded, and no script runs but the one of this program.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// For the page whose only script is this text (CSP Level 3, section 6.7.3: sources by hash).
pub fn policy(script: &str) -> String {
    let mut text = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-".to_owned();
    for three in Sha256::digest(script.as_bytes()).chunks(3) {
        let _ = write!(text, "{}", base64(three));
    }
    text + "'"
}

/// Up to three bytes as four characters (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = (0..3).fold(0, |group, index| group << 8 | u32::from(bytes.get(index).copied().unwrap_or(0)));
    let digit = |index: usize| {
        if index > bytes.len() { '=' } else { char::from(DIGITS[(group >> (18 - 6 * index)) as usize & 63]) }
    };
    (0..4).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_base64_of_rfc_4648() {
        assert_eq!([base64(b"f"), base64(b"fo"), base64(b"foo")], ["Zg==", "Zm8=", "Zm9v"]);
    }
}
