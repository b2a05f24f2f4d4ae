use std::{fmt, str::FromStr, sync::Arc};

use crate::Error;

/// Names one layer within a driver's root.
///
/// 1 to 128 characters of `A-Z a-z 0-9 _ . -`, the first a letter or a digit, so that an id is one path
/// component on every file system, never hidden, and never `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(Arc<str>);

impl LayerId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`Error::InvalidId`] names the rule that was broken.
    pub fn new(id: impl AsRef<str>) -> Result<Self, Error> {
        let id = id.as_ref();
        let invalid = |why| Error::InvalidId { id: id.to_owned(), why };
        if id.is_empty() {
            return Err(invalid("it is empty"));
        }
        if id.len() > Self::MAX_LEN {
            return Err(invalid("it is longer than 128 bytes"));
        }
        if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(invalid("it must start with a letter or a digit"));
        }
        if !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
            return Err(invalid("only letters, digits, '_', '.' and '-' are allowed"));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerId({})", self.0)
    }
}

impl FromStr for LayerId {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self, Error> {
        Self::new(id)
    }
}

impl serde::Serialize for LayerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for LayerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::new(id).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_hex_ids_and_names() {
        for id in ["a", "0f3a", "build-7.step_3", &"f".repeat(128)] {
            assert_eq!(LayerId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_root_or_hide() {
        for id in ["", ".", "..", ".hidden", "a/b", "a b", "-rf", "a\0", "é", &"f".repeat(129)] {
            assert!(LayerId::new(id).is_err(), "{id:?} was accepted");
        }
    }
}
