use std::{fmt, path::Path};

use storage_driver::{Bytes, Skipped};

use super::CopyStrategy;

/// Decides on a path, relative to the copied directory; the second argument is true for directories.
pub type Filter<'a> = &'a (dyn Fn(&Path, bool) -> Keep + Sync);

/// Makes a mode of another one; the second argument is true for directories.
pub type ChangeMode<'a> = &'a (dyn Fn(u32, bool) -> u32 + Sync);

/// What is to become of a path of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is copied.
    Yes,
    /// It is not, nor is what is below it.
    No,
    /// A directory is looked into, and copied only when something below it is. The same as [`Keep::No`] for
    /// everything else.
    Within,
}

/// What is to become of what the target holds already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Nothing may be where something is to be copied to.
    #[default]
    Refuse,
    /// A directory on a directory is merged into it, and the one that was there keeps its attributes; anything else
    /// on anything else replaces it. A directory never replaces another kind nor the other way round.
    Merge,
    /// As [`Existing::Merge`], but directories below the root take the source's attributes.
    Overwrite,
}

/// How to copy. The default copies everything, byte by byte, into an empty directory.
#[derive(Clone, Copy, Default)]
pub struct CopyOptions<'a> {
    /// How the bytes get there.
    pub strategy: CopyStrategy,
    /// How many threads copy files; unless it is said, as many as there are processors, and eight at most.
    pub threads: Option<usize>,
    /// Everything belongs to this user and group, instead of to the source's.
    pub owner: Option<(u32, u32)>,
    /// Everything but symlinks has the mode that this makes of the source's, and no access ACL.
    pub mode: Option<ChangeMode<'a>>,
    /// What the target may hold.
    pub existing: Existing,
    /// `trusted.*` and `security.*` xattrs that this process may not set (in a user namespace) are left out with a
    /// note, instead of failing the copy.
    pub skip_privileged_xattrs: bool,
    /// What to leave out. The root itself is not asked for.
    pub filter: Option<Filter<'a>>,
}

impl fmt::Debug for CopyOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOptions")
            .field("strategy", &self.strategy)
            .field("threads", &self.threads)
            .field("owner", &self.owner)
            .field("mode", &self.mode.is_some())
            .field("existing", &self.existing)
            .field("skip_privileged_xattrs", &self.skip_privileged_xattrs)
            .field("filter", &self.filter.is_some())
            .finish()
    }
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyStats {
    /// Regular files; further names of a hard-linked one are not counted again.
    pub files: u64,
    /// Directories that were made; not the root.
    pub directories: u64,
    /// Symlinks, devices, fifos and sockets.
    pub others: u64,
    /// Further names of inodes that were copied.
    pub links: u64,
    /// Files that have holes.
    pub sparse: u64,
    /// Sizes of the files, holes included.
    pub bytes: Bytes,
    /// What the copies' data takes as `st_blocks` counts it; extents that are shared count too.
    pub allocated: Bytes,
    /// What had to be left out.
    pub skipped: Vec<Skipped>,
}

impl CopyStats {
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.directories += other.directories;
        self.others += other.others;
        self.links += other.links;
        self.sparse += other.sparse;
        self.bytes += other.bytes;
        self.allocated += other.allocated;
        self.skipped.extend(other.skipped);
    }
}
