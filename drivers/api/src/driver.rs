use std::{
    fmt::Debug,
    io::{Read, Write},
};

use crate::{
    ApplyStats, Capabilities, Change, CreateOptions, DiffStats, HeldMount, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Status, Usage,
};

/// One way of storing layers.
///
/// # Life of a layer
/// `create` (writable, on a sealed parent or on none) → `mount` read-write and change it, or `apply` a layer
/// tar → `seal` → `mount` read-only, use as a parent, `diff` → `remove`. A container's layer is never
/// sealed: it is created, mounted, and removed.
///
/// # Rules for every method
/// - Any thread may call any method at any time. Calls on one layer are ordered by the driver; calls on
///   different layers run side by side.
/// - One process owns a driver root at a time; opening it again fails with [`Error::Locked`](crate::Error::Locked).
///   What another process holds ([`hold`](Self::hold)) counts as mounted.
/// - After a crash at any point, opening the driver leaves every layer whole or absent. A writable layer's
///   last writes are as durable as the backing file system made them; a sealed layer is durable.
/// - A layer whose writes were accepted and then failed, as happens where a pool behind the file system is full, says so when its mount
///   is closed, and from then on: it is mounted read-only and removed, and refused with [`Error::Lost`](crate::Error::Lost) otherwise.
/// - What a driver cannot do is answered with [`Error::Unsupported`](crate::Error::Unsupported), never ignored.
/// - Methods block. None needs an async runtime.
pub trait StorageDriver: Debug + Send + Sync {
    /// The name that people choose it by and that is written on disk: `overlay2`.
    fn name(&self) -> &'static str;

    /// What it can do on this root.
    fn capabilities(&self) -> &Capabilities;

    /// Options in force and what was probed.
    fn status(&self) -> Status;

    /// What opening this root found of an earlier crash and took away.
    fn recovered(&self) -> &[Leftover];

    /// Whether whoever had the root last closed it in order, so that no layer is there that somebody was just making. A driver
    /// that does not know says no.
    fn was_at_rest(&self) -> bool {
        false
    }

    /// Makes a writable layer on top of `parent`, or an empty one.
    ///
    /// The root directory of a layer without a parent is owned 0:0 and has mode 0755. Nothing is synced: after
    /// a power loss a layer that was never sealed may be absent.
    ///
    /// # Errors
    /// [`Exists`](crate::Error::Exists); [`NotFound`](crate::Error::NotFound) and
    /// [`NotSealed`](crate::Error::NotSealed) for the parent; [`TooDeep`](crate::Error::TooDeep);
    /// [`Unsupported`](crate::Error::Unsupported) for options. On any error the layer is absent.
    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()>;

    /// Mounts a layer's merged tree, or takes another reference to it.
    ///
    /// Mounting the same layer again in the same mode gives the same path. A sealed layer mounts read-only only.
    /// A writable layer is mounted one way at a time.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`Sealed`](crate::Error::Sealed) and [`Lost`](crate::Error::Lost) for read-write;
    /// [`InUse`](crate::Error::InUse) when it is mounted the other way. On any error nothing stays mounted.
    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer>;

    /// Takes a mount's only reference over into a hold, which outlives this driver: its process can close the driver, and
    /// another one open the root, while the layer stays mounted.
    ///
    /// For everybody else, the driver that it came from included, the layer counts as mounted until the hold is closed or
    /// its process has ended: it is not sealed, not removed, no tar is applied to it; it can be mounted once more in the
    /// same mode, which gives the same path as long as the hold lives; it can be looked at and exported. When its
    /// process was killed, whoever next works on the layer, or opens the driver, takes the mount away.
    ///
    /// Where [`held_mounts`](Capabilities::held_mounts) says no, as for a driver that does not override this, the hold keeps
    /// the reference itself, and thus the root.
    ///
    /// # Errors
    /// [`InUse`](crate::Error::InUse) when there are other references, or another process holds the mount. On any error
    /// the reference is given back.
    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        Ok(HeldMount::keeping(mounted))
    }

    /// Makes a layer immutable, and durable together with all its parents.
    ///
    /// Sealing a sealed layer does nothing and succeeds.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`InUse`](crate::Error::InUse) while it is mounted; [`Lost`](crate::Error::Lost). On any
    /// error the layer is still writable.
    fn seal(&self, id: &LayerId) -> Result<()>;

    /// As [`seal`](Self::seal), but durable only with the next [`settle`](Self::settle), whose price several layers share.
    ///
    /// Until then the layer is sealed for this driver, and can be a parent; after a crash it and all that stands on it are writable
    /// or absent.
    ///
    /// # Errors
    /// As for [`seal`](Self::seal).
    fn seal_later(&self, id: &LayerId) -> Result<()> {
        self.seal(id)
    }

    /// Makes durable what was [sealed later](Self::seal_later).
    ///
    /// # Errors
    /// What the kernel said; what is not durable by then is tried again the next time.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Removes a layer and its data.
    ///
    /// The layer is gone from [`list`](Self::list) at once and stays gone after a crash; where space comes
    /// back later, that is the driver's to finish.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`HasChildren`](crate::Error::HasChildren);
    /// [`InUse`](crate::Error::InUse) while it is mounted. A mount that another mount namespace still keeps is no
    /// hindrance. On any error the layer is whole.
    fn remove(&self, id: &LayerId) -> Result<()>;

    /// What is known of one layer.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    fn stat(&self, id: &LayerId) -> Result<LayerInfo>;

    /// All layers, parents before their children, otherwise by id.
    ///
    /// # Errors
    /// Only when the root cannot be read.
    fn list(&self) -> Result<Vec<LayerInfo>>;

    /// Replaces a layer's labels, and moves its `updated` time.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound). On any error the old labels stay.
    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()>;

    /// What a layer takes beyond its parent, as allocated now.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    fn usage(&self, id: &LayerId) -> Result<Usage>;

    /// How a layer differs from its parent, sorted by path.
    ///
    /// Works on a layer that is mounted read-write, as `docker diff` does on a running container; changes made
    /// meanwhile may or may not be seen. Never misses a change because size and second of mtime are equal.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    fn changes(&self, id: &LayerId) -> Result<Vec<Change>>;

    /// Writes a layer's difference from its parent as an uncompressed OCI layer tar.
    ///
    /// Sorted, and byte for byte the same however often and wherever it is asked for, as long as the layer
    /// does not change. See the image specification's "Image Layer Filesystem Changeset".
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound), or the error of `out`.
    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats>;

    /// Lays an OCI layer tar (plain, gzip or zstd) over a writable, unmounted layer.
    ///
    /// The input is not trusted: no entry reaches outside the layer. The layer may be without a parent, or
    /// freshly made on one.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound), [`Sealed`](crate::Error::Sealed), [`InUse`](crate::Error::InUse),
    /// [`Layer`](crate::Error::Layer) naming the entry. After an error the layer holds an undefined part of the
    /// tar; remove it.
    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats>;

    /// Waits until the space of all layers removed so far is free again. Only drivers whose file system gives it back in
    /// the background have anything to wait for; layers may be mounted meanwhile.
    ///
    /// # Errors
    /// What the kernel said.
    fn wait_for_space(&self) -> Result<()> {
        Ok(())
    }

    /// Finishes what runs in the background; refuses while this process has layers mounted, except those held in a way that
    /// outlives the driver. Calling it twice is fine.
    ///
    /// # Errors
    /// [`InUse`](crate::Error::InUse) names a layer that is still mounted.
    fn shutdown(&self) -> Result<()>;
}
