//! The program, its user and its limits.

use std::ffi::CString;

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxCapabilities, LinuxPersonalityDomain, LinuxSeccomp, Process as OciProcess,
};

use super::{absolute, c_string};
use crate::{
    Error, Result, caps,
    plan::{Capabilities, Process, Rlimit},
    rlimit, seccomp,
};

pub(super) fn process(process: &OciProcess, profile: Option<&LinuxSeccomp>) -> Result<Process> {
    let user = process.user();
    let args = strings("process.args", process.args().as_deref().unwrap_or_default())?;
    if args.first().is_none_or(|program| program.is_empty()) {
        return Err(Error::invalid("process.args", "no program is given"));
    }
    Ok(Process {
        args,
        env: strings("process.env", process.env().as_deref().unwrap_or_default())?,
        cwd: absolute("process.cwd", process.cwd())?,
        uid: user.uid(),
        gid: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask().unwrap_or(0o022),
        capabilities: capabilities(process.capabilities().as_ref()),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        seccomp: profile.map(seccomp::filter).transpose()?,
        reaper: false,
        role: false,
    })
}

fn strings(what: &str, strings: &[String]) -> Result<Vec<CString>> {
    strings.iter().map(|string| c_string(what, string.as_bytes())).collect()
}

fn capabilities(sets: Option<&LinuxCapabilities>) -> Capabilities {
    let Some(sets) = sets else { return Capabilities::default() };
    let of = |set: &Option<oci_spec::runtime::Capabilities>| set.as_ref().map(caps::bits).unwrap_or_default();
    Capabilities {
        bounding: of(sets.bounding()),
        effective: of(sets.effective()),
        permitted: of(sets.permitted()),
        inheritable: of(sets.inheritable()),
        ambient: of(sets.ambient()),
    }
}

/// `PER_LINUX32` of linux/personality.h.
const PER_LINUX32: u32 = 8;

pub(super) fn personality(linux: &Linux) -> Result<Option<u32>> {
    let Some(personality) = linux.personality() else { return Ok(None) };
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Error::Unsupported { what: "linux.personality.flags".into(), remedy: "give a domain only" });
    }
    Ok(Some(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => PER_LINUX32,
    }))
}

/// The class in the three highest of 16 bits, the priority in the others (linux/ioprio.h).
pub(super) fn io_priority(process: &OciProcess) -> Result<Option<u32>> {
    let Some(wanted) = process.io_priority() else { return Ok(None) };
    let class = match wanted.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let what = || format!("process.ioPriority.priority {}", wanted.priority());
    let priority = u32::try_from(wanted.priority()).ok().filter(|&priority| priority < 8);
    Ok(Some(class << 13 | priority.ok_or_else(|| Error::invalid(what(), "it has to be 0 to 7"))?))
}

pub(super) fn rlimits(process: &OciProcess) -> Result<Vec<Rlimit>> {
    let limit = |limit: &oci_spec::runtime::PosixRlimit| {
        let what = || format!("process.rlimits {}", limit.typ());
        let resource = rlimit::number(limit.typ()).ok_or_else(|| Error::invalid(what(), "it is unknown"))?;
        if limit.soft() > limit.hard() {
            return Err(Error::invalid(what(), "the soft limit is above the hard one"));
        }
        Ok(Rlimit { resource, soft: limit.soft(), hard: limit.hard() })
    };
    let limits = process.rlimits().iter().flatten().map(limit).collect::<Result<Vec<_>>>()?;
    // config.md: "If rlimits contains duplicated entries with same type, the runtime MUST generate an error."
    for (number, limit) in limits.iter().enumerate() {
        if limits[..number].iter().any(|before| before.resource == limit.resource) {
            let name = process.rlimits().iter().flatten().nth(number).map(|limit| limit.typ().to_string());
            return Err(Error::invalid(format!("process.rlimits {}", name.unwrap_or_default()), "it is there twice"));
        }
    }
    Ok(limits)
}

/// The kernel's range, proc_pid_oom_score_adj(5).
pub(super) fn oom_score_adj(process: &OciProcess) -> Result<Option<i32>> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::invalid(format!("process.oomScoreAdj {score}"), "it has to be -1000 to 1000"))
        }
        score => Ok(score),
    }
}
