//! User namespaces, and mounts whose files have other owners than on disk.

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};

use crate::{
    Error, Result,
    plan::{IdRange, Mapping},
};

/// What the kernel takes since Linux 4.15 (user_namespaces(7)).
const MOST_RANGES: usize = 340;

/// The ids of the container's own user namespace, if it has one.
pub(crate) fn of_container(spec: &Spec) -> Result<Option<Mapping>> {
    let Some(linux) = spec.linux() else { return Ok(None) };
    let mapping = Mapping {
        uids: ranges("linux.uidMappings", linux.uid_mappings().as_deref())?,
        gids: ranges("linux.gidMappings", linux.gid_mappings().as_deref())?,
        recursive: false,
    };
    let is_empty = mapping.uids.is_empty() || mapping.gids.is_empty();
    if !super::has_namespace(spec, LinuxNamespaceType::User) {
        if mapping.uids.is_empty() && mapping.gids.is_empty() {
            return Ok(None);
        }
        return Err(Error::invalid("linux.uidMappings", "they need an own user namespace"));
    }
    if is_empty {
        return Err(Error::invalid("linux.namespaces: user", "it needs linux.uidMappings and linux.gidMappings"));
    }
    if mapping.uid(0).is_none() || mapping.gid(0).is_none() {
        return Err(Error::invalid("linux.uidMappings", "user 0 and group 0 of the container have to be mapped"));
    }
    Ok(Some(mapping))
}

/// What the files of a bind mount belong to. `option` is `idmap` or `ridmap`; alone it stands for the container's own
/// mapping.
pub(super) fn of_mount(
    mount: &Mount,
    option: Option<&str>,
    container: Option<&Mapping>,
    what: &str,
) -> Result<Option<Mapping>> {
    let uids = ranges(&format!("uidMappings of {what}"), mount.uid_mappings().as_deref())?;
    let gids = ranges(&format!("gidMappings of {what}"), mount.gid_mappings().as_deref())?;
    let recursive = option == Some("ridmap");
    match (uids.is_empty(), gids.is_empty(), option) {
        (true, true, None) => Ok(None),
        (false, false, _) => Ok(Some(Mapping { uids, gids, recursive })),
        (true, true, Some(_)) => match container {
            Some(container) => Ok(Some(Mapping { recursive, ..container.clone() })),
            None => Err(Error::invalid(what, "the option idmap needs mappings, of the mount or of the container")),
        },
        _ => Err(Error::invalid(what, "it needs mappings of users and of groups")),
    }
}

fn ranges(what: &str, mappings: Option<&[LinuxIdMapping]>) -> Result<Vec<IdRange>> {
    let mappings = mappings.unwrap_or_default();
    if mappings.len() > MOST_RANGES {
        return Err(Error::invalid(what, format!("there are more than {MOST_RANGES}")));
    }
    let range = |mapping: &LinuxIdMapping| {
        let (inside, outside, count) = (mapping.container_id(), mapping.host_id(), mapping.size());
        // The last id means nobody.
        let fits = |first: u32| first.checked_add(count).is_some();
        if count == 0 || !fits(inside) || !fits(outside) {
            return Err(Error::invalid(what, format!("{inside} {outside} {count} is no range of ids")));
        }
        Ok(IdRange { inside, outside, count })
    };
    mappings.iter().map(range).collect()
}
