//! The host's devices in a container, and which devices it may open.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use super::{ContainerConfig, HostDevice, spec::invalid};
use crate::{Error, Result};

/// Directories of `/dev` that a container has of its own.
const OWN: [&str; 5] = ["pts", "shm", "mqueue", "fd", "console"];

/// Devices that every container may open: null, zero, full, random, urandom, tty, console, ptmx and the terminals.
const OPEN_DEVICES: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The devices that `config` asks for; all of the host for privileged containers.
pub(super) fn of(config: &ContainerConfig) -> Result<Vec<LinuxDevice>> {
    let mut found = if config.privileged { all()? } else { Vec::new() };
    for asked in &config.devices {
        for device in one(asked)? {
            found.retain(|known| known.path() != device.path());
            found.push(device);
        }
    }
    Ok(found)
}

fn all() -> Result<Vec<LinuxDevice>> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found)?;
    found.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(found)
}

/// The device that is asked for, or all devices of the directory.
fn one(asked: &HostDevice) -> Result<Vec<LinuxDevice>> {
    let what = || format!("the device {}", asked.source.display());
    // As docker: /dev/disk/by-id and its like are links.
    let source = asked.source.canonicalize().map_err(|error| Error::invalid(what(), error.to_string()))?;
    if !source.is_dir() {
        return Ok(vec![node(&source, &asked.target)?]);
    }
    let mut found = Vec::new();
    collect(&source, &mut found)?;
    for device in &mut found {
        let below = device.path().strip_prefix(&source).map(|below| asked.target.join(below));
        device.set_path(below.unwrap_or_default());
    }
    Ok(found)
}

/// The device at `source`, for the place `target` of a container.
pub(super) fn node(source: &Path, target: &Path) -> Result<LinuxDevice> {
    let what = || format!("the device {}", source.display());
    let metadata = source.metadata().map_err(|error| Error::invalid(what(), error.to_string()))?;
    if !metadata.file_type().is_char_device() && !metadata.file_type().is_block_device() {
        return Err(Error::invalid(what(), "there is no device"));
    }
    device(target, &metadata)
}

fn collect(directory: &Path, found: &mut Vec<LinuxDevice>) -> Result<()> {
    let failed = || format!("read {}", directory.display());
    for entry in fs::read_dir(directory).map_err(Error::io(failed()))? {
        let entry = entry.map_err(Error::io(failed()))?;
        let own = directory == Path::new("/dev") && OWN.iter().any(|own| entry.file_name() == *own);
        // Devices come and go while this looks.
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        let kind = metadata.file_type();
        if own || entry.file_name() == "ptmx" {
            continue;
        } else if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(device(&entry.path(), &metadata)?);
        }
    }
    Ok(())
}

fn device(path: &Path, metadata: &fs::Metadata) -> Result<LinuxDevice> {
    let kind = if metadata.file_type().is_block_device() { LinuxDeviceType::B } else { LinuxDeviceType::C };
    LinuxDeviceBuilder::default()
        .path(path)
        .typ(kind)
        .major(i64::from(rustix::fs::major(metadata.rdev())))
        .minor(i64::from(rustix::fs::minor(metadata.rdev())))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid())
        .build()
        .map_err(|error| Error::invalid("linux.devices", error.to_string()))
}

/// What docker's device cgroup lets a container do: make any node, open the harmless ones. Privileged ones open all.
/// Besides, what was asked for: `own` devices, and rules.
pub(super) fn rules(config: &ContainerConfig, own: &[LinuxDevice]) -> Result<Vec<LinuxDeviceCgroup>> {
    use LinuxDeviceType::{A, B, C};
    let rule = |allow: bool, kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule =
            LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access).build().map_err(invalid)?;
        rule.set_major(major).set_minor(minor);
        Ok(rule)
    };
    if config.privileged {
        return Ok(vec![rule(true, A, None, None, "rwm")?]);
    }
    let mut rules =
        vec![rule(false, A, None, None, "rwm")?, rule(true, C, None, None, "m")?, rule(true, B, None, None, "m")?];
    for (major, minor) in OPEN_DEVICES {
        rules.push(rule(true, C, Some(major), minor, "rwm")?);
    }
    for device in own {
        let asked = config.devices.iter().find(|asked| device.path().starts_with(&asked.target));
        let access = asked.map_or("rwm", |asked| asked.access.as_str());
        rules.push(rule(true, device.typ(), Some(device.major()), Some(device.minor()), access)?);
    }
    for text in &config.device_rules {
        let (kind, major, minor, access) = read_rule(text)?;
        rules.push(rule(true, kind, major, minor, access)?);
    }
    Ok(rules)
}

/// Reads a rule in the form of the kernel's devices.allow (Documentation/admin-guide/cgroup-v1/devices.rst).
fn read_rule(text: &str) -> Result<(LinuxDeviceType, Option<i64>, Option<i64>, &str)> {
    let wrong = || Error::invalid(format!("the device rule {text:?}"), "one looks like 'c 42:* rwm'");
    let (kind, numbers, access) = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [kind, numbers, access] => (*kind, *numbers, *access),
        _ => return Err(wrong()),
    };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(wrong()),
    };
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| wrong()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    check_access(access).map_err(|()| wrong())?;
    Ok((kind, number(major)?, number(minor)?, access))
}

fn check_access(access: &str) -> Result<(), ()> {
    let known = access.chars().all(|letter| "rwm".contains(letter));
    if access.is_empty() || !known { Err(()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_the_kernel_has_them() {
        assert_eq!(read_rule("c 42:* rwm").unwrap(), (LinuxDeviceType::C, Some(42), None, "rwm"));
        assert_eq!(read_rule("b 7:0 r").unwrap(), (LinuxDeviceType::B, Some(7), Some(0), "r"));
        for text in ["", "c", "c 42 rwm", "d 1:2 r", "c 1:2 x", "c -1:2 r", "c 1:2 r w", "c 1:2 "] {
            assert!(read_rule(text).is_err(), "{text}");
        }
    }
}
