//! The keys by which somebody leaves a container's terminal without ending the container.

use std::str::FromStr;

/// A sequence of keys, docker's `--detach-keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl FromStr for DetachKeys {
    type Err = String;

    /// Reads `ctrl-p,ctrl-q`: single characters, or `ctrl-` and a letter or one of `@[\]^_` (ascii(7)).
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |key: &str| format!("{key:?} is no key; one character, or ctrl- and a letter or one of @[\\]^_");
        let key = |key: &str| match key.strip_prefix("ctrl-").unwrap_or(key).as_bytes() {
            [letter @ (b'a'..=b'z' | b'@' | b'['..=b'_')] if key.starts_with("ctrl-") => Ok(letter & 0x1f),
            [byte] if !key.starts_with("ctrl-") && byte.is_ascii() => Ok(*byte),
            _ => Err(wrong(key)),
        };
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

/// Finds the keys in what is typed.
#[derive(Debug)]
pub struct Watch {
    keys: DetachKeys,
    /// How many of them were typed last.
    typed: usize,
}

impl Watch {
    pub const fn new(keys: DetachKeys) -> Self {
        Self { keys, typed: 0 }
    }

    /// What of `input` is the container's, and whether the keys are complete. Keys that may be their beginning are kept back
    /// until the next one.
    pub fn pass(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let DetachKeys(keys) = &self.keys;
        let mut passed = Vec::with_capacity(input.len());
        for &byte in input {
            if keys.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == keys.len() {
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&keys[..self.typed]);
            self.typed = usize::from(keys.first() == Some(&byte));
            if self.typed == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_characters_and_control_characters() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys(vec![16, 17])));
        assert_eq!("ctrl-@,a,ctrl-]".parse(), Ok(DetachKeys(vec![0, b'a', 29])));
        for text in ["", "ctrl-", "ctrl-1", "ab", "a,,b", "ä", "ctrl-P"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_them_is_passed_on() {
        let mut watch = Watch::new("ctrl-p,ctrl-q".parse().unwrap());
        assert_eq!(watch.pass(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(watch.pass(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(watch.pass(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(watch.pass(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(watch.pass(b"\x11lost"), (Vec::new(), true));
    }
}
