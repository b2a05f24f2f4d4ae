//! Containers with users of their own (`--uidmap`).

use std::path::Path;

use oci_spec::runtime::Spec;

use crate::{Configuration, Error, Result};

/// Has what is in `volumes` belong to the container's own users who have the numbers of its owners, as what is in its layer
/// does.
pub(crate) fn own_volumes(spec: &mut Spec, volumes: &Path) {
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if mount.source().as_deref().is_some_and(|source| source.starts_with(volumes)) {
            mount.options_mut().get_or_insert_default().push("idmap".to_owned());
        }
    }
}

/// Whether a container with these users can be had.
pub(crate) fn check(wanted: &Configuration) -> Result<()> {
    if wanted.oci_runtime.is_some() && !wanted.uid_map.is_empty() {
        let why = "is for the built-in runtime alone: others do not give the files of images to other owners";
        return Err(Error::invalid("--uidmap", why));
    }
    Ok(())
}
