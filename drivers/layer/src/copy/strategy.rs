use std::{fmt, str::FromStr};

/// How the bytes of a file get into its copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CopyStrategy {
    /// By read(2) and write(2): the bytes are really copied, on every file system.
    #[default]
    Copy,
    /// By copy_file_range(2): the kernel copies, or shares extents where the file system can.
    CopyFileRange,
    /// By ioctl_ficlone(2): extents are shared, or the copy fails.
    Reflink,
}

impl CopyStrategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Copy, Self::CopyFileRange, Self::Reflink];

    /// The name that options and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::CopyFileRange => "copy_file_range",
            Self::Reflink => "reflink",
        }
    }
}

impl fmt::Display for CopyStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that no [`CopyStrategy`] has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown copy strategy {0:?}: there are copy, copy_file_range and reflink")]
pub struct UnknownStrategy(pub String);

impl FromStr for CopyStrategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == name).ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for strategy in CopyStrategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        assert!("cp".parse::<CopyStrategy>().unwrap_err().to_string().contains("reflink"));
    }
}
