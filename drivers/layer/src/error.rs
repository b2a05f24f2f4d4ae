use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Uid},
    io::Errno,
};
use storage_driver::LayerId;

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What could not be read, written, compared or laid out, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a tree failed.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb: "open", "read the xattrs of".
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The chosen way of copying is not possible between these file systems.
    #[error("cannot copy {} by {strategy}: {source}; the strategy \"copy\" works everywhere", .path.display())]
    Strategy {
        /// The way.
        strategy: crate::copy::CopyStrategy,
        /// The file that was to be copied.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The layer tar could not be read any further.
    #[error("cannot read the layer tar at byte {offset}: {source}")]
    Input {
        /// Where in the uncompressed tar.
        offset: u64,
        /// What the source or the decompressor said.
        source: io::Error,
    },
    /// The layer tar could not be written any further.
    #[error("cannot write the layer tar at byte {offset}: {source}")]
    Output {
        /// Where in the tar.
        offset: u64,
        /// What the sink said.
        source: io::Error,
    },
    /// The content of a file could not be read while its entry was being written.
    #[error("cannot read the content of {path:?} for the layer tar: {source}")]
    Content {
        /// The file, as the tar names it.
        path: String,
        /// What the source said.
        source: io::Error,
    },
    /// The layer tar is damaged, or asks for something that no layer may ask for.
    #[error("layer tar, byte {offset}{entry}: {why}")]
    Entry {
        /// The entry; empty where its name is not known yet.
        entry: EntryName,
        /// Where its header starts in the uncompressed tar.
        offset: u64,
        /// What is wrong with it.
        #[source]
        why: Fault,
    },
    /// The upper directory uses an overlay feature that its files alone do not explain.
    #[error(
        "{} carries the overlay xattr {xattr}, so its upper directory alone is not the whole change; \
         mount without {feature}, or compare the merged trees instead",
        .path.display()
    )]
    OverlayFeature {
        /// The file or directory, relative to the layer's root.
        path: PathBuf,
        /// The xattr's full name.
        xattr: String,
        /// The mount option behind it.
        feature: &'static str,
    },
    /// A digest is not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("invalid digest {text:?}: expected \"sha256:\" and 64 lower-case hexadecimal digits")]
    InvalidDigest {
        /// What was given.
        text: String,
    },
}

/// What is wrong with an entry of a layer tar.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The tar ends inside a header or a body.
    #[error("the tar ends here, {missing} bytes too early")]
    Truncated {
        /// How many bytes are missing at least.
        missing: u64,
    },
    /// Bytes that do not follow the format.
    #[error("{0}")]
    Malformed(&'static str),
    /// Something the format allows and a layer does not.
    #[error("{0}")]
    Refused(&'static str),
    /// More than a [`Limits`](crate::Limits) field allows.
    #[error("{what} is {found}, and at most {limit} is accepted")]
    TooMuch {
        /// What was counted.
        what: &'static str,
        /// What the entry has or claims.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A hard link to something that is not there.
    #[error("the hard link's target {} does not exist in this layer or below it", .0.display())]
    NoLinkTarget(PathBuf),
    /// The kernel refused to make it.
    #[error("cannot {op} it: {source}")]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why chown(2) failed. It says EINVAL of an id that the user namespace does not have, which tells nobody what to do.
pub(crate) fn owner_refused(errno: Errno, owner: (Uid, Gid), otherwise: &str) -> io::Error {
    if errno != Errno::INVAL {
        return errno.into();
    }
    let (uid, gid) = (owner.0.as_raw(), owner.1.as_raw());
    let why = format!(
        "{uid}:{gid} is not mapped in this user namespace; add ranges for this user to /etc/subuid and /etc/subgid{otherwise}"
    );
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The name of an entry within an error message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryName(pub(crate) Vec<u8>);

impl EntryName {
    /// The raw bytes; empty where the name was not known.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryName {
    /// `, entry "etc/passwd"`, escaped and cut to a readable length; nothing for an unknown name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        if self.0.is_empty() {
            return Ok(());
        }
        let cut = &self.0[..self.0.len().min(SHOWN)];
        write!(f, ", entry \"{}", cut.escape_ascii())?;
        f.write_str(if cut.len() < self.0.len() { "…\"" } else { "\"" })
    }
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { op, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// The driver error for a failure on layer `id`.
    ///
    /// Failed system calls stay what they are, so that a full disk is still seen as one; everything else
    /// becomes [`storage_driver::Error::Layer`].
    #[must_use]
    pub fn into_driver(self, id: &LayerId) -> storage_driver::Error {
        match self {
            Self::Io { op, path, source } => storage_driver::Error::Io { op, path, source },
            other => storage_driver::Error::Layer { id: id.clone(), source: Box::new(other) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_entry_and_the_place() {
        let error = Error::Entry {
            entry: EntryName(b"etc/p\xffw".to_vec()),
            offset: 1536,
            why: Fault::Truncated { missing: 12 },
        };
        let text = "layer tar, byte 1536, entry \"etc/p\\xffw\": the tar ends here, 12 bytes too early";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_full_disk_is_still_seen_as_one() {
        let id = LayerId::new("a").unwrap();
        let full = || io::Error::from_raw_os_error(28);
        let direct = Error::io("write", "x")(full());
        assert!(direct.into_driver(&id).is_no_space());
        let why = Fault::Io { op: "write", source: full() };
        let entry = Error::Entry { entry: EntryName::default(), offset: 0, why };
        assert!(entry.into_driver(&id).is_no_space());
    }
}
