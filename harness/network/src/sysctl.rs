//! Kernel parameters of the thread's network namespace.

use std::fs;

use crate::{Error, Result};

/// Sets `net.ipv4.<name>` unless it has the value already: /proc/sys may be read-only where there is nothing to set.
pub(crate) fn set_ipv4(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv4/{name}");
    let now = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    if now.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(Error::file("write", path))
}
