use std::{collections::BTreeMap, fmt, str::FromStr};

/// One way in which a driver may have become dearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Every file that a layer changed is synced by itself when the layer is unmounted.
    FsyncPerFile,
    /// vfs copies bytes where it was asked to share them.
    CopyForReflink,
    /// overlay2 copies a file's content up when only its metadata changes.
    MetacopyOff,
    /// overlay2 cannot rename directories of lower layers.
    RedirectOff,
    /// devicemapper's pool has blocks of 512 KiB.
    Chunk512k,
    /// The parent's tree is copied a second time for every new layer.
    CopyTwice,
    /// A layer is exported by walking it and its parent whole.
    DiffWalksBase,
    /// Files and directories are synced one by one when a layer is sealed, as overlayfs does it with `fsync=strict` at copy-up.
    FsyncStrict,
    /// Every call takes 30 % longer.
    Sleep30,
}

/// A mistake that the driver cannot make.
#[derive(Debug, thiserror::Error)]
#[error("--inject {mistake} is not for {driver}, but for {}", .fit.unwrap_or("every driver"))]
pub struct Unsuitable {
    mistake: Mistake,
    driver: String,
    fit: Option<&'static str>,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::FsyncPerFile,
        Self::CopyForReflink,
        Self::MetacopyOff,
        Self::RedirectOff,
        Self::Chunk512k,
        Self::CopyTwice,
        Self::DiffWalksBase,
        Self::FsyncStrict,
        Self::Sleep30,
    ];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FsyncPerFile => "fsync-per-file",
            Self::CopyForReflink => "copy-for-reflink",
            Self::MetacopyOff => "metacopy-off",
            Self::RedirectOff => "redirect-off",
            Self::Chunk512k => "chunk-512k",
            Self::CopyTwice => "copy-twice",
            Self::DiffWalksBase => "diff-walks-base",
            Self::FsyncStrict => "fsync-strict",
            Self::Sleep30 => "sleep-30",
        }
    }

    /// The only driver that can make it; `None`: any can.
    const fn fits(self) -> Option<&'static str> {
        match self {
            Self::CopyForReflink | Self::CopyTwice => Some("vfs"),
            Self::MetacopyOff | Self::RedirectOff => Some("overlay2"),
            Self::Chunk512k => Some("devicemapper"),
            Self::FsyncPerFile | Self::DiffWalksBase | Self::FsyncStrict | Self::Sleep30 => None,
        }
    }

    /// Whether the driver of this name can make it.
    ///
    /// # Errors
    /// [`Unsuitable`].
    pub fn check(self, driver: &str) -> Result<(), Unsuitable> {
        match self.fits() {
            Some(fit) if fit != driver => Err(Unsuitable { mistake: self, driver: driver.to_owned(), fit: Some(fit) }),
            _ => Ok(()),
        }
    }

    /// Makes those mistakes that are options of the driver.
    pub fn options(self, options: &mut BTreeMap<String, String>) {
        let spoiled = match self {
            Self::CopyForReflink => ("copy", "copy"),
            // Metadata-only copies are found again by their redirects, so that those stay.
            Self::MetacopyOff => ("metacopy", "off"),
            Self::RedirectOff => ("redirect_dir", "off"),
            Self::Chunk512k => ("block_size", "512K"),
            _ => return,
        };
        options.insert(spoiled.0.to_owned(), spoiled.1.to_owned());
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mistake {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|mistake| mistake.name() == text).ok_or_else(|| format!("one of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_drivers_checked() {
        for mistake in Mistake::ALL {
            assert_eq!(mistake.name().parse(), Ok(mistake));
        }
        assert!("fsync".parse::<Mistake>().unwrap_err().contains("fsync-strict"));
        assert!(Mistake::Sleep30.check("btrfs").is_ok());
        let refused = Mistake::CopyTwice.check("btrfs").unwrap_err();
        assert_eq!(refused.to_string(), "--inject copy-twice is not for btrfs, but for vfs");
    }
}
