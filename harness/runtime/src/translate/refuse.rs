//! The fields of a specification that are not for this runtime.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Process, Spec};

use crate::{Error, Result};

/// Refuses what is written by the rules of another version, or by none (config.md, "Specification version", "Annotations").
pub(super) fn another_version(spec: &Spec) -> Result<()> {
    let mut numbers = spec.version().splitn(3, '.');
    let is_number = |text: Option<&str>| {
        let digits = text.map(|text| text.split(['-', '+']).next().unwrap_or(text));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if numbers.next() != Some("1") || !is_number(numbers.next()) || !is_number(numbers.next()) {
        return Err(Error::invalid(format!("ociVersion {:?}", spec.version()), "only 1.x.y is known here"));
    }
    if spec.annotations().iter().flatten().any(|(key, _)| key.is_empty()) {
        return Err(Error::invalid("annotations", "a key is empty"));
    }
    Ok(())
}

/// Refuses what is asked for and not done.
pub(super) fn unsupported(spec: &Spec) -> Result<()> {
    let present = [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    refuse(&present)?;
    spec.process().as_ref().map_or(Ok(()), process)?;
    let Some(linux) = spec.linux() else { return Ok(()) };
    namespaces(spec)?;
    let some = |list: Option<usize>| list.is_some_and(|n| n > 0);
    let present = [
        ("linux.netDevices", some(linux.net_devices().as_ref().map(HashMap::len))),
        ("linux.mountLabel", linux.mount_label().is_some()),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.timeOffsets", some(linux.time_offsets().as_ref().map(HashMap::len))),
    ];
    refuse(&present)?;
    match linux.rootfs_propagation().as_deref() {
        // Each mount of a slave has its own option; the root file system itself has no master here.
        None | Some("" | "private" | "rprivate" | "slave" | "rslave") => {}
        Some(other) => return Err(named(format!("linux.rootfsPropagation {other}"))),
    }
    linux.resources().as_ref().map_or(Ok(()), resources)
}

fn refuse(fields: &[(&str, bool)]) -> Result<()> {
    match fields.iter().find(|(_, present)| *present) {
        Some((name, _)) => Err(named((*name).to_owned())),
        None => Ok(()),
    }
}

fn named(what: String) -> Error {
    Error::Unsupported { what, remedy: "" }
}

fn process(process: &Process) -> Result<()> {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    refuse(&[
        ("process.commandLine", process.command_line().is_some()),
        ("process.apparmorProfile", filled(process.apparmor_profile())),
        ("process.selinuxLabel", filled(process.selinux_label())),
        ("process.scheduler", process.scheduler().is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
        ("process.user.username", process.user().username().is_some()),
    ])
}

fn namespaces(spec: &Spec) -> Result<()> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    for namespace in namespaces.into_iter().flatten() {
        let kind = namespace.typ();
        if kind == LinuxNamespaceType::Time {
            return Err(Error::Unsupported { what: format!("a new {kind} namespace"), remedy: "leave it out" });
        }
        let alone = matches!(kind, LinuxNamespaceType::Mount | LinuxNamespaceType::User);
        if alone && namespace.path().is_some() {
            return Err(Error::Unsupported {
                what: format!("joining a {kind} namespace by linux.namespaces.path"),
                remedy: "leave the path out for a new one",
            });
        }
    }
    Ok(())
}

fn resources(resources: &LinuxResources) -> Result<()> {
    let present = [
        ("linux.resources.hugepageLimits", resources.hugepage_limits().as_ref().is_some_and(|l| !l.is_empty())),
        ("linux.resources.network", resources.network().is_some()),
        ("linux.resources.rdma", resources.rdma().is_some()),
    ];
    refuse(&present)?;
    if let Some(memory) = resources.memory() {
        refuse(&[
            ("linux.resources.memory.kernel", memory.kernel().is_some()),
            ("linux.resources.memory.kernelTCP", memory.kernel_tcp().is_some()),
        ])?;
    }
    if let Some(block_io) = resources.block_io() {
        refuse(&[
            ("linux.resources.blockIO.leafWeight", block_io.leaf_weight().is_some()),
            (
                "linux.resources.blockIO.weightDevice",
                block_io.weight_device().as_ref().is_some_and(|devices| !devices.is_empty()),
            ),
        ])?;
    }
    let Some(cpu) = resources.cpu() else { return Ok(()) };
    refuse(&[
        ("linux.resources.cpu.realtimeRuntime", cpu.realtime_runtime().is_some()),
        ("linux.resources.cpu.realtimePeriod", cpu.realtime_period().is_some()),
    ])
}
