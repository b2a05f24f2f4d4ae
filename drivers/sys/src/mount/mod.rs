//! Mounting: the file-system context of newer kernels, and the calls that every kernel has.

mod context;
mod legacy;

pub use context::{FsContext, FsContextError};
pub use legacy::{OPTIONS_LIMIT, mount_in_directory};

use std::{io, path::Path};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, mount_remount, unmount},
};

/// Binds `source` on `target`, writable.
///
/// # Errors
/// mount(2)'s.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(mount_bind(source, target)?)
}

/// Binds `source` on `target` such that the kernel refuses writes through it, whoever asks.
///
/// # Errors
/// mount(2)'s; nothing stays mounted then.
pub fn bind_read_only(source: &Path, target: &Path) -> io::Result<()> {
    mount_bind(source, target)?;
    // A bind mount ignores the read-only flag; only a remount of it heeds it (mount(2), "Remounting").
    let flags = MountFlags::BIND | MountFlags::RDONLY | locked_flags(target)?;
    mount_remount(target, flags, c"").map_err(|error| {
        _ = detach(target);
        error.into()
    })
}

/// The flags of a mount that a user namespace may not clear, and so must repeat (mount_namespaces(7)).
fn locked_flags(target: &Path) -> io::Result<MountFlags> {
    use rustix::fs::StatVfsMountFlags as Found;
    let found = rustix::fs::statvfs(target)?.f_flag;
    let pairs = [
        (Found::NOSUID, MountFlags::NOSUID),
        (Found::NODEV, MountFlags::NODEV),
        (Found::NOEXEC, MountFlags::NOEXEC),
        (Found::NOATIME, MountFlags::NOATIME),
        (Found::NODIRATIME, MountFlags::NODIRATIME),
        (Found::RELATIME, MountFlags::RELATIME),
    ];
    Ok(pairs.into_iter().filter(|(flag, _)| found.contains(*flag)).map(|(_, flag)| flag).collect())
}

/// Keeps mounts at and below `target` from spreading to other namespaces, and theirs from coming here.
///
/// # Errors
/// mount(2)'s; `EINVAL` when nothing is mounted at `target`.
pub fn make_private(target: &Path) -> io::Result<()> {
    Ok(mount_change(target, MountPropagationFlags::PRIVATE)?)
}

/// Takes a mount out of the tree at once, even while it is busy; the kernel ends it with its last user.
///
/// # Errors
/// umount(2)'s; `EINVAL` when nothing is mounted there.
pub fn detach(target: &Path) -> io::Result<()> {
    Ok(unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// Unmounts, and fails with `EBUSY` while somebody uses the mount.
///
/// # Errors
/// umount(2)'s.
pub fn unmount_idle(target: &Path) -> io::Result<()> {
    Ok(unmount(target, UnmountFlags::NOFOLLOW)?)
}

/// The id of the mount that `path` is on, which no other mount has until the machine is started anew; `None` on kernels before
/// Linux 6.8, whose ids are given again (statx(2), `STATX_MNT_ID_UNIQUE`).
///
/// # Errors
/// statx(2)'s.
pub fn unique_id(path: &Path) -> io::Result<Option<u64>> {
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let found = statx(CWD, path, AtFlags::empty(), UNIQUE)?;
    Ok((found.stx_mask & UNIQUE.bits() != 0).then_some(found.stx_mnt_id))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::mount::MountAttrFlags;

    use super::*;
    use crate::mountinfo;

    #[test]
    fn privileged_a_read_only_bind_refuses_root_and_leaves_the_source_writable() {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&target).unwrap();
        bind_read_only(&source, &target).unwrap();
        make_private(&target).unwrap();
        let refused = fs::write(target.join("f"), "").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
        fs::write(source.join("f"), "").unwrap();
        assert!(target.join("f").exists());
        assert!(unmount_idle(&source).is_err());
        unmount_idle(&target).unwrap();
        bind(&source, &target).unwrap();
        let open = fs::File::create(target.join("g")).unwrap();
        assert_eq!(unmount_idle(&target).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        detach(&target).unwrap();
        drop(open);
        assert!(mountinfo::below(&target.canonicalize().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn privileged_the_kernels_own_words_are_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let context = FsContext::new("tmpfs").unwrap();
        let error =
            context.set("size", "no number").and_then(|()| context.mount_at(dir.path(), MountAttrFlags::empty()));
        let error = error.unwrap_err();
        assert_eq!(error.step, "size");
        assert!(error.log.contains("size"), "{error}");
        assert!(!mountinfo::all().unwrap().iter().any(|mount| mount.mount_point == dir.path()));
    }
}
