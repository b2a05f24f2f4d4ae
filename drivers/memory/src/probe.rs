use std::{collections::BTreeSet, fs, path::Path};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use storage_driver::{Capabilities, Sharing, Support};

/// What can be kept in files of `scratch`, tried out.
pub fn capabilities(scratch: &Path) -> Capabilities {
    Capabilities {
        sharing: Sharing::File,
        native_diff: Support::No("the model compares whole trees".to_owned()),
        size_limit: Support::No(
            "the model does not count what is written; use overlay2 on ext4 or xfs with quota".to_owned(),
        ),
        device_nodes: device_nodes(scratch),
        privileged_xattrs: privileged_xattrs(scratch),
        held_mounts: Support::No("its layers are in this process's memory".to_owned()),
        max_depth: None,
        deviations: BTreeSet::new(),
    }
}

fn device_nodes(scratch: &Path) -> Support {
    let probe = scratch.join("probe-device");
    let made = rustix::fs::mknodat(CWD, &probe, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
    // Some kernels let a user namespace make the node, and then nobody can open it.
    let opened = made.map_err(Into::into).and_then(|()| fs::File::open(&probe));
    _ = fs::remove_file(&probe);
    match opened {
        Ok(_) => Support::Yes,
        Err(error) => Support::No(format!("device nodes cannot be made and opened here ({error}); that needs root")),
    }
}

fn privileged_xattrs(scratch: &Path) -> Support {
    let probe = scratch.join("probe-xattr");
    let set = fs::write(&probe, "")
        .and_then(|()| Ok(rustix::fs::lsetxattr(&probe, "trusted.probe", b"1", XattrFlags::empty())?));
    _ = fs::remove_file(&probe);
    match set {
        Ok(()) => Support::Yes,
        Err(error) => Support::No(format!("trusted.* xattrs cannot be set here ({error}); that needs root")),
    }
}
