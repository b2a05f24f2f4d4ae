//! Words for a shell and for QEMU's option syntax.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// One word of a POSIX shell, whatever bytes it has.
pub fn shell(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        if byte == b'\'' {
            quoted.extend_from_slice(b"'\\''");
        } else {
            quoted.push(byte);
        }
    }
    quoted.push(b'\'');
    quoted
}

/// A value in `-option key=value,...`, where a comma is doubled (qemu(1), "-drive").
pub fn qemu(prefix: &str, value: &OsStr, suffix: &str) -> OsString {
    let mut bytes = prefix.as_bytes().to_vec();
    for &byte in value.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(b',');
        }
    }
    bytes.extend_from_slice(suffix.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        let word = OsStr::from_bytes(b"it's $HOME \xff\n`x`");
        assert_eq!(shell(word), b"'it'\\''s $HOME \xff\n`x`'");
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(qemu("file=", OsStr::new("/a,b"), ",format=raw"), "file=/a,,b,format=raw");
    }
}
