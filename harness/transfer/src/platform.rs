use std::fmt;

use serde::Deserialize;

/// What an image runs on (image-spec, image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "riscv64" => ("riscv64", None),
            "s390x" => ("s390x", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
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
