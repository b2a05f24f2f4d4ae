//! Which devices a container may open.
//!
//! Other runtimes write these rules to a device cgroup, which costs a good part of a start. The case that occurs, where
//! all is denied but the nodes of the container's own `/dev`, is kept here with mounts: all of them are `nodev` but
//! those of the nodes themselves, and a container without CAP_SYS_ADMIN cannot change that. Other rules are refused.

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use super::devices;
use crate::{Error, Result};

/// Whether only the devices of the container's `/dev` can be opened.
pub(super) fn known_only(linux: &Linux) -> Result<bool> {
    let rules = linux.resources().as_ref().and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
    let Some((first, rest)) = rules.split_first() else { return Ok(false) };
    if is_everything(first) && first.allow() && rest.is_empty() {
        return Ok(false);
    }
    if !is_everything(first) || first.allow() {
        return Err(unsupported(first));
    }
    let devices = linux.devices().as_deref().unwrap_or_default();
    match rest.iter().find(|rule| !holds_anyway(rule, devices)) {
        Some(rule) => Err(unsupported(rule)),
        None => Ok(true),
    }
}

fn unsupported(rule: &LinuxDeviceCgroup) -> Error {
    Error::Unsupported {
        what: format!(
            "linux.resources.devices: {} {} {}:{} {}",
            if rule.allow() { "allow" } else { "deny" },
            kind(rule).as_str(),
            number(rule.major()),
            number(rule.minor()),
            access(rule),
        ),
        remedy: "deny all first, then allow reading and writing devices of linux.devices; or use another OCI runtime",
    }
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "*".to_owned(), |number| number.to_string())
}

fn kind(rule: &LinuxDeviceCgroup) -> LinuxDeviceType {
    rule.typ().unwrap_or(LinuxDeviceType::A)
}

/// No access given means all of it.
fn access(rule: &LinuxDeviceCgroup) -> &str {
    rule.access().as_deref().unwrap_or("rwm")
}

fn is_everything(rule: &LinuxDeviceCgroup) -> bool {
    let any = |number: Option<i64>| number.is_none_or(|number| number < 0);
    kind(rule) == LinuxDeviceType::A
        && any(rule.major())
        && any(rule.minor())
        && "rwm".chars().all(|letter| access(rule).contains(letter))
}

/// Whether `rule` allows what is possible without it: making nodes, and opening those of `/dev`.
fn holds_anyway(rule: &LinuxDeviceCgroup, devices: &[LinuxDevice]) -> bool {
    if !rule.allow() {
        return false;
    }
    if !access(rule).contains(['r', 'w']) {
        return true;
    }
    let Some(major) = rule.major() else { return false };
    // The console, ptmx and terminals are on the container's own devpts.
    let terminal = matches!((major, rule.minor()), (5, Some(1 | 2)) | (136, _));
    let default = rule.minor().is_some_and(|minor| devices::is_default(major, minor));
    // Which of both is done cannot be told apart with mounts.
    let both = access(rule).contains('r') && access(rule).contains('w');
    let given = both && devices.iter().any(|device| device.major() == major && Some(device.minor()) == rule.minor());
    (kind(rule) == LinuxDeviceType::C && (terminal || default)) || given
}
