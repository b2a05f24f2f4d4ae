//! Whether this kernel, and this user, can do it at all.

use std::path::Path;

use rustix::io::Errno;
use storage_driver::{Error, Result};
use storage_sys::{
    dm::{CONTROL, Control},
    userns,
};

use crate::NAME;

/// The way to device-mapper, or what is missing and the remedy.
pub fn control(root: &Path) -> Result<Control> {
    let unusable = |why: &str| Error::Unusable { driver: NAME, root: root.to_owned(), why: why.to_owned() };
    if userns::is_active() || !rustix::process::geteuid().is_root() {
        return Err(unusable("device-mapper needs root outside a user namespace; run it with sudo"));
    }
    Control::open().map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::ACCESS | Errno::PERM) => unusable("device-mapper is not for this user, though it is root"),
        Some(Errno::INVAL) => unusable("the kernel's device-mapper is older than 4.27 (Linux 3.13)"),
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => unusable(&format!(
            "this kernel has no device-mapper ({error}): it needs CONFIG_DM_THIN_PROVISIONING (try: modprobe \
             dm-thin-pool); or run the command in a virtual machine that has it: harness lab -- ..."
        )),
        _ => Error::io("open", CONTROL)(error),
    })
}
