//! Device nodes: those that every container has, and those asked for.

use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::{absolute, c_string};
use crate::{Error, Result, plan::Device};

/// Name below `/dev`, major and minor number; see "Default Devices" in runtime-linux.md of the OCI specification.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Whether these are the numbers of a default device.
pub(super) fn is_default(major: i64, minor: i64) -> bool {
    DEFAULT.iter().any(|&(_, of, number)| (i64::from(of), i64::from(number)) == (major, minor))
}

/// The default devices and `devices`, which take precedence.
pub(super) fn nodes(devices: &[LinuxDevice]) -> Result<Vec<Device>> {
    let mut nodes = Vec::with_capacity(DEFAULT.len() + devices.len());
    for (name, major, minor) in DEFAULT {
        let path = format!("/dev/{name}");
        if devices.iter().all(|device| device.path() != Path::new(&path)) {
            let path = c_string("linux.devices", path.as_bytes())?;
            nodes.push(Device { path, mode: libc::S_IFCHR | 0o666, major, minor, uid: 0, gid: 0 });
        }
    }
    for (number, device) in devices.iter().enumerate() {
        if devices[..number].iter().any(|before| before.path() == device.path()) {
            return Err(Error::invalid(format!("linux.devices: {}", device.path().display()), "it is there twice"));
        }
        nodes.push(node(device)?);
    }
    Ok(nodes)
}

fn node(device: &LinuxDevice) -> Result<Device> {
    let what = || format!("linux.devices: {}", device.path().display());
    if !device.path().starts_with("/dev") || device.path() == Path::new("/dev") {
        return Err(Error::invalid(what(), "devices are made below /dev only"));
    }
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => return Err(Error::invalid(what(), "type a names no device")),
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| Error::invalid(what(), format!("{n} is no device number")));
    Ok(Device {
        path: absolute("linux.devices.path", device.path())?,
        mode: kind | (device.file_mode().unwrap_or(0o666) & 0o7777),
        major: number(device.major())?,
        minor: number(device.minor())?,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}
