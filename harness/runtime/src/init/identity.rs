//! Who the container's program is: limits, ids, capabilities, seccomp.

use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    process::{Rlimit, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
        remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use super::failure::{Failed, OrFail};
use crate::{
    exec,
    plan::{self, Capabilities, Filter, Process},
    rlimit,
};

/// Applies the limits; lowering is always allowed, raising needs CAP_SYS_RESOURCE.
pub(super) fn limit(limits: &[plan::Rlimit]) -> Result<(), Failed> {
    for limit in limits {
        let Some((resource, name)) = rlimit::by_number(limit.resource) else {
            return Err(Failed::because(format!("unknown resource limit {}", limit.resource)));
        };
        let value = |v: u64| (v != u64::MAX).then_some(v);
        setrlimit(resource, Rlimit { current: value(limit.soft), maximum: value(limit.hard) })
            .or_fail(|| format!("set the limit {name} to {}:{}", limit.soft, limit.hard))?;
    }
    Ok(())
}

/// Becomes the container's user with its capabilities, and under its seccomp filter.
pub(super) fn assume(process: &Process) -> Result<(), Failed> {
    // Without no_new_privs a filter may only be installed by who has CAP_SYS_ADMIN, so before capabilities go
    // (seccomp(2)); with it the filter comes last, so that it need not allow what the steps here call.
    if let (Some(filter), false) = (&process.seccomp, process.no_new_privileges) {
        install(filter)?;
    }
    drop_bounding(process.capabilities.bounding)?;
    // Changing from user 0 to another would clear the permitted set before it can be made what is asked for.
    set_keep_capabilities(true).or_fail(|| "keep capabilities".into())?;
    set_ids(process)?;
    set_keep_capabilities(false).or_fail(|| "stop keeping capabilities".into())?;
    set_capability_sets(&process.capabilities)?;
    if process.no_new_privileges {
        set_no_new_privs(true).or_fail(|| "set no_new_privs".into())?;
    }
    if let (Some(filter), true) = (&process.seccomp, process.no_new_privileges) {
        install(filter)?;
    }
    Ok(())
}

fn install(filter: &Filter) -> Result<(), Failed> {
    exec::add_seccomp_filter(&filter.instructions.0, filter.flags as exec::SeccompFlags)
        .or_fail(|| "install the seccomp filter".into())
}

fn drop_bounding(keep: u64) -> Result<(), Failed> {
    for number in 0..=exec::cap_last() {
        let bit = 1 << number;
        if keep & bit == 0 {
            remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit))
                .or_fail(|| format!("drop capability {number} from the bounding set"))?;
        }
    }
    Ok(())
}

/// What helps an ordinary user.
const MAPPED: &str = " (is it mapped? An ordinary user has the ids of /etc/subuid and /etc/subgid)";

fn set_ids(process: &Process) -> Result<(), Failed> {
    let groups: Vec<Gid> = process.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    match set_thread_groups(&groups) {
        // A user namespace made without privilege forbids setgroups(2) (user_namespaces(7)). Having no groups but one's
        // own is what was wanted when none are asked for.
        Err(Errno::PERM) if groups.is_empty() || groups == [Gid::from_raw(process.gid)] => {}
        other => other.or_fail(|| format!("set the supplementary groups {:?}{MAPPED}", process.groups))?,
    }
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    set_thread_res_gid(gid, gid, gid).or_fail(|| format!("become group {}{MAPPED}", process.gid))?;
    set_thread_res_uid(uid, uid, uid).or_fail(|| format!("become user {}{MAPPED}", process.uid))
}

/// Leaves the capabilities that executing an ordinary file would: a user other than root keeps the ambient ones only
/// (capabilities(7), "Transformation of capabilities during execve()").
pub(super) fn drop_as_executing_does(process: &Process) -> Result<(), Failed> {
    if process.uid == 0 {
        return Ok(());
    }
    let ambient = process.capabilities.ambient;
    set_capability_sets(&Capabilities { effective: ambient, permitted: ambient, ..process.capabilities.clone() })
}

fn set_capability_sets(sets: &Capabilities) -> Result<(), Failed> {
    let of = CapabilitySet::from_bits_retain;
    let wanted = CapabilitySets {
        effective: of(sets.effective),
        permitted: of(sets.permitted),
        inheritable: of(sets.inheritable),
    };
    clear_ambient_capability_set().or_fail(|| "clear the ambient capabilities".into())?;
    set_capabilities(None, wanted).or_fail(|| "set the capabilities (does this process have them?)".into())?;
    for number in (0..64).filter(|number| sets.ambient & (1 << number) != 0) {
        configure_capability_in_ambient_set(of(1 << number), true)
            .or_fail(|| format!("raise the ambient capability {number}"))?;
    }
    Ok(())
}
