use std::{fmt, os::unix::ffi::OsStrExt, path::PathBuf};

/// What happened to a path between a layer's parent and the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The path is new.
    Added,
    /// The path is in both, and its type, owner, mode, times, size, content, links or xattrs differ. A
    /// directory whose entries changed is reported too, since its mtime did.
    Modified,
    /// The path was in the parent and is gone. What was below it is not listed.
    Deleted,
}

impl ChangeKind {
    /// The letter that `docker diff` prints.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// One difference between a layer and its parent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Relative to the layer's root, without a leading slash; may hold any bytes but NUL.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

impl Change {
    /// A change of `kind` at `path`.
    pub fn new(kind: ChangeKind, path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), kind }
    }
}

impl fmt::Display for Change {
    /// As `docker diff` prints it: `C /etc/passwd`; bytes that are not UTF-8 are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /", self.kind.letter())?;
        for chunk in self.path.as_os_str().as_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}
