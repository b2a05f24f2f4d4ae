use std::{fmt, str::FromStr};

use serde::Deserialize;

use crate::{Error, Result};

/// What an image runs on (image-spec, image-index.md, "platform").
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// The operating system, in Go's words.
    #[serde(default)]
    pub os: String,
    /// The processor, in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// Which one of its kind: `v8`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => normal(other),
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: variant.map(Into::into) }
    }

    /// How well `other` suits: higher is better, `None` not at all. A newer variant than this one does not.
    #[must_use]
    pub fn accepts(&self, other: &Self) -> Option<u32> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        let number = |platform: &Self| platform.variant.as_deref().and_then(|v| v.strip_prefix('v')?.parse().ok());
        match (number(self), number(other)) {
            (_, None) => Some(0),
            (None, Some(level)) => (level == 1).then_some(1),
            (Some(own), Some(level)) => (level <= own).then_some(level),
        }
    }
}

/// Go's word for a processor, and the variant that is meant where none is named (containerd's platforms, "Normalization").
fn normal(architecture: &str) -> (&str, Option<&str>) {
    match architecture {
        "x86_64" | "x86-64" => ("amd64", None),
        "x86" | "i386" => ("386", None),
        "aarch64" | "arm64" => ("arm64", Some("v8")),
        "arm" | "armhf" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        other => (other, None),
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `OS/ARCHITECTURE[/VARIANT]`, or one of the first two: the other is then this machine's.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::PlatformName { text: text.to_owned(), why: why.to_owned() };
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if !parts.iter().all(|part| is_word(part)) {
            return Err(wrong("it is named as OS/ARCHITECTURE[/VARIANT], as linux/arm64"));
        }
        let host = Self::host();
        let (os, architecture, variant) = match parts[..] {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => return Ok(Self { os: os.to_owned(), ..host }),
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(wrong("it has three parts at most: OS/ARCHITECTURE/VARIANT")),
        };
        let (architecture, meant) = normal(architecture);
        let variant = variant.or(meant).map(str::to_owned);
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
        Platform { os, architecture, variant: parts.next() }
    }

    #[test]
    fn platforms_are_read_as_docker_reads_them() {
        let host = Platform::host();
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64/v8"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux/arm", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("linux/s390x", "linux/s390x"),
            ("linux", &host.to_string()),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b", "linux/\u{1b}[2J"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn the_best_that_runs_here_is_taken() {
        let cases = [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v1", Some(1)),
            ("linux/amd64", "linux/amd64/v3", None),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/arm/v7", "linux/arm/v6", Some(6)),
            ("linux/arm/v7", "linux/arm/v8", None),
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/amd64", "unknown/unknown", None),
        ];
        for (own, other, expected) in cases {
            assert_eq!(platform(own).accepts(&platform(other)), expected, "{other} on {own}");
        }
        assert!(Platform::host().accepts(&Platform::host()).is_some());
    }
}
