//! The program, its user and its limits.

use std::ffi::CString;

use oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp, Process as OciProcess};

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

pub(super) fn rlimits(process: &OciProcess) -> Result<Vec<Rlimit>> {
    let limit = |limit: &oci_spec::runtime::PosixRlimit| {
        let what = || format!("process.rlimits {}", limit.typ());
        let resource = rlimit::number(limit.typ()).ok_or_else(|| Error::invalid(what(), "it is unknown"))?;
        if limit.soft() > limit.hard() {
            return Err(Error::invalid(what(), "the soft limit is above the hard one"));
        }
        Ok(Rlimit { resource, soft: limit.soft(), hard: limit.hard() })
    };
    process.rlimits().iter().flatten().map(limit).collect()
}
