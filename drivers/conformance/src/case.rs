use std::{fs, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, XattrFlags},
    io::Errno,
};
use storage_driver::{Capabilities, Support};

use crate::{Context, Verdict};

/// One thing that every driver must get right.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it belongs to: where it comes from, or its subject.
    pub group: &'static str,
    /// Its name within the group: letters, digits and dashes.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub about: &'static str,
    /// What the driver and the machine must be able to do for the case to mean anything.
    pub needs: &'static [Need],
    /// Does it.
    pub run: fn(&Context<'_>) -> Verdict,
}

impl Case {
    /// `group::name`, by which a person asks for it.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.group, self.name)
    }
}

/// Writes a group's table: function, what must hold, what it needs.
macro_rules! cases {
    ($group:literal; $($name:literal = $run:path $([$($need:ident),+])? : $about:literal;)+) => {
        /// The cases of this group.
        pub const CASES: &[$crate::Case] = &[$($crate::Case {
            group: $group,
            name: $name,
            about: $about,
            needs: &[$($($crate::Need::$need),+)?],
            run: $run,
        }),+];
    };
}
pub(crate) use cases;

/// What a case cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Device nodes.
    DeviceNodes,
    /// `trusted.*` and `security.*` xattrs.
    PrivilegedXattrs,
    /// More user and group ids than one.
    Owners,
    /// POSIX ACLs on the file system below.
    Acls,
    /// `user.*` xattrs on the file system below.
    UserXattrs,
    /// A limit on a layer's size.
    SizeLimit,
    /// Layers that outlive the driver.
    Persistence,
}

impl Need {
    /// Why this is not there, or `None` when it is. A driver's own statement counts first; what only the machine
    /// decides is tried out in `scratch`.
    pub(crate) fn missing(self, capabilities: &Capabilities, persistent: bool, scratch: &Path) -> Option<String> {
        let declared = |support: &Support| match support {
            Support::Yes => None,
            Support::No(why) => Some(why.clone()),
        };
        match self {
            Self::DeviceNodes => declared(&capabilities.device_nodes),
            Self::PrivilegedXattrs => declared(&capabilities.privileged_xattrs),
            Self::SizeLimit => declared(&capabilities.size_limit),
            Self::Owners => missing_owners(scratch),
            Self::Acls => missing_xattr(scratch, "system.posix_acl_access", ANY_ACL),
            Self::UserXattrs => missing_xattr(scratch, "user.probe", b"1"),
            Self::Persistence => (!persistent).then(|| "it keeps nothing when it is closed".to_owned()),
        }
    }
}

/// `user::rw- group::r-- other::r--`, which every file has.
const ANY_ACL: &[u8] = &[
    2, 0, 0, 0, // version
    1, 0, 6, 0, 255, 255, 255, 255, // user::rw-
    4, 0, 4, 0, 255, 255, 255, 255, // group::r--
    32, 0, 4, 0, 255, 255, 255, 255, // other::r--
];

fn missing_owners(scratch: &Path) -> Option<String> {
    let probe = scratch.join("owner-probe");
    fs::write(&probe, "").ok()?;
    let given =
        rustix::fs::chownat(CWD, &probe, Some(Uid::from_raw(1)), Some(Gid::from_raw(2)), AtFlags::SYMLINK_NOFOLLOW);
    _ = fs::remove_file(&probe);
    given.is_err().then(|| "files cannot be given to other users here: this user namespace maps one id".to_owned())
}

fn missing_xattr(scratch: &Path, name: &str, value: &[u8]) -> Option<String> {
    let probe = scratch.join("xattr-probe");
    fs::write(&probe, "").ok()?;
    let set = rustix::fs::lsetxattr(&probe, name, value, XattrFlags::empty());
    _ = fs::remove_file(&probe);
    set.err().map(|error| format!("the file system refuses {name}: {error}"))
}

/// Whether the kernel lets us make a device node in `scratch`, whatever a driver says.
pub(crate) fn devices_work(scratch: &Path) -> bool {
    let probe = scratch.join("device-probe");
    let made = rustix::fs::mknodat(CWD, &probe, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
    // In a user namespace on some kernels the node is made and cannot be opened; that counts as no.
    let opens = made.is_ok() && fs::File::open(&probe).is_ok();
    _ = fs::remove_file(&probe);
    opens
}

/// Whether the kernel lets us set a `trusted.*` xattr in `scratch`.
pub(crate) fn trusted_xattrs_work(scratch: &Path) -> bool {
    let probe = scratch.join("trusted-probe");
    if fs::write(&probe, "").is_err() {
        return false;
    }
    let set = rustix::fs::lsetxattr(&probe, "trusted.probe", b"1", XattrFlags::empty());
    _ = fs::remove_file(&probe);
    !matches!(set, Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS))
}
