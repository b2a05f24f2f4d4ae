use std::collections::BTreeSet;

/// What one write to a file of the parent makes the driver copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sharing {
    /// Nothing is shared: the whole parent was copied when the layer was made.
    None,
    /// Whole files: the first write copies the file up.
    File,
    /// Blocks or extents of this many bytes.
    Block(u64),
}

/// Whether an ability is there, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It works on this root.
    Yes,
    /// It does not, for this reason; the reason names the remedy where there is one.
    No(String),
}

impl Support {
    /// True for [`Support::Yes`].
    #[must_use]
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// Where a driver is known to differ from a plain directory, as data.
///
/// The conformance suite checks each both ways: a declared deviation must show, an undeclared one must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deviation {
    /// Renaming a directory that came from the parent fails with `EXDEV`
    /// (kernel: Documentation/filesystems/overlayfs.rst, "renaming directories").
    RenameParentDirectory,
    /// A descriptor opened read-only before the first write keeps showing the old content
    /// (overlayfs.rst, "Non-standard behavior").
    StaleReadDescriptor,
    /// The first write to one name of a hard-linked file of the parent breaks the link
    /// (overlayfs.rst, `index=off`).
    HardLinkBreaks,
    /// The first write to a sparse file of the parent fills some of its holes with zeros: the kernel copies it up in
    /// pieces of 1 MiB (fs/overlayfs/copy_up.c, `OVL_COPY_UP_CHUNK_SIZE`) and skips holes only where a piece starts.
    CopyUpFillsHoles,
}

/// What a driver can do on the root it was opened on; probed, not assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// How layers share data with their parents.
    pub sharing: Sharing,
    /// Diff and changes cost what the layer changed, not what the whole tree holds.
    pub native_diff: Support,
    /// [`CreateOptions::size`](crate::CreateOptions::size) is enforced.
    pub size_limit: Support,
    /// Layers can hold device nodes other than whiteouts (not in a user namespace).
    pub device_nodes: Support,
    /// Layers can hold `trusted.*` and `security.*` xattrs (not in a user namespace).
    pub privileged_xattrs: Support,
    /// A layer that is held ([`hold`](crate::StorageDriver::hold)) leaves the root to other processes; otherwise it keeps
    /// the root as any mount does.
    pub held_mounts: Support,
    /// The longest chain of layers, this one counted; `None` where only space limits it.
    pub max_depth: Option<u32>,
    /// Known differences from a plain directory.
    pub deviations: BTreeSet<Deviation>,
}
