use super::XattrNamespace;
use crate::{
    Error, Result,
    node::{Node, NodeKind},
    source::Source,
};

impl XattrNamespace {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    /// The full name of one of overlayfs's xattrs.
    pub(crate) fn key(self, mark: &str) -> Vec<u8> {
        [self.prefix(), mark].concat().into_bytes()
    }
}

/// What overlayfs's xattrs say of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DirMarks {
    /// Nothing below it shows.
    pub opaque: bool,
    /// Files with the xattr `overlay.whiteout` in it are whiteouts.
    pub xattr_whiteouts: bool,
}

/// Reads a directory's marks.
///
/// `opaque` is `y`, or `x` for "may hold whiteouts in xattr form" (kernel: Documentation/filesystems/overlayfs.rst,
/// "Nesting overlayfs mounts").
///
/// # Errors
/// [`Error::OverlayFeature`] for a redirect: the directory's content is somewhere else.
pub(crate) fn of_directory(
    source: &Source,
    path: &[u8],
    names: &[Vec<u8>],
    namespace: XattrNamespace,
) -> Result<DirMarks> {
    refuse(names, path, namespace, "redirect", "redirect_dir")?;
    let key = namespace.key("opaque");
    if !names.contains(&key) {
        return Ok(DirMarks::default());
    }
    let value = source.xattr(path, &key)?;
    Ok(DirMarks { opaque: value.as_deref() == Some(b"y"), xattr_whiteouts: value.as_deref() == Some(b"x") })
}

/// Refuses a file whose data or whose other names are not where it is.
///
/// `nlink` is set only with the mount option `index=on`, where a write through one name of a lower's hard-linked
/// file shows under the other names too, which the upper directory does not list.
pub(crate) fn check_file(path: &[u8], names: &[Vec<u8>], namespace: XattrNamespace) -> Result<()> {
    refuse(names, path, namespace, "metacopy", "metacopy")?;
    refuse(names, path, namespace, "redirect", "redirect_dir")?;
    refuse(names, path, namespace, "nlink", "index")
}

fn refuse(names: &[Vec<u8>], path: &[u8], namespace: XattrNamespace, mark: &str, feature: &'static str) -> Result<()> {
    use std::os::unix::ffi::OsStringExt;
    let key = namespace.key(mark);
    if !names.contains(&key) {
        return Ok(());
    }
    Err(Error::OverlayFeature {
        path: std::ffi::OsString::from_vec(path.to_vec()).into(),
        xattr: String::from_utf8_lossy(&key).into_owned(),
        feature,
    })
}

/// Whether `node`, in a directory with `marks`, is a whiteout in either form.
pub(crate) fn is_whiteout(
    source: &Source,
    path: &[u8],
    node: &Node,
    marks: DirMarks,
    namespace: XattrNamespace,
) -> Result<bool> {
    if node.is_whiteout_device() {
        return Ok(true);
    }
    if !(marks.xattr_whiteouts && node.kind == NodeKind::File && node.size == 0) {
        return Ok(false);
    }
    Ok(source.xattr(path, &namespace.key("whiteout"))?.is_some())
}

/// The names in the directory `path` of a layer, whiteouts included.
pub(crate) fn names(source: &Source, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    use std::os::fd::AsFd;
    let dir = source.directory(path)?;
    crate::source::names_in(dir.as_fd()).map_err(Error::io("list", source.full(path)))
}
