//! Whether what is to be measured fits, before any of it is made.

use harness_testbed::Spec;
use storage_driver::Bytes;
use workloads::{Engine, Error, Params, Plan, Workload, check_room};

use crate::{drivers::Entry, engine::bench::BenchEngine, failure::Failure, place::Place};

const GIB: u64 = 1 << 30;
/// For each of these bytes of a device, one is the file system's or the pool's own.
const OWN: u64 = 8;

/// Holds each driver's share against its testbed, and that of all of them against the disk that the testbeds lie on.
pub fn check(
    workload: &dyn Workload,
    params: &Params,
    plan: &Plan,
    engines: &mut [(&'static Entry, BenchEngine)],
    spec: &Spec,
    place: &Place,
) -> workloads::Result<()> {
    let mut names = Vec::new();
    let mut all = Bytes(0);
    for (driver, (entry, engine)) in engines.iter_mut().enumerate() {
        if plan.rounds_of(driver) == 0 {
            continue;
        }
        let Some(needed) = check_room(workload, params, engine as &mut dyn Engine)? else { continue };
        names.push(entry.name);
        all += needed;
    }
    let Some(free) = shared(spec, place) else { return Ok(()) };
    match workload.room(params)? {
        Some(room) if all > free => Err(Error::Room {
            workload: workload.name(),
            drivers: format!("{} together", names.join(", ")),
            needed: all,
            free,
            parameters: room.parameters,
        }),
        _ => Ok(()),
    }
}

/// What all drivers' testbeds have between them; `None` where each has its own.
fn shared(spec: &Spec, place: &Place) -> Option<Bytes> {
    let on = match spec {
        // Files with holes: together they may promise more than there is.
        Spec::Loop { memory: false, .. } => place.testbeds(),
        Spec::Dir(path) => path.clone(),
        Spec::Loop { .. } | Spec::Dev { .. } => return None,
    };
    storage_sys::statfs::of(&on).ok().map(|found| Bytes(found.available))
}

/// The error in a person's words, with the testbed that would do where a larger one can be had.
pub fn told(error: &Error, needed: Bytes, spec: &Spec) -> Failure {
    match spec {
        Spec::Loop { size, .. } if *size < larger(needed) => {
            Failure::usage(format!("{error}, or for a larger testbed: --testbed {}", with_size(spec, larger(needed))))
        }
        Spec::Loop { .. } => Failure::usage(format!("{error}, for fewer drivers at once, or choose another --root")),
        Spec::Dir(_) | Spec::Dev { .. } => {
            Failure::usage(format!("{error}, or for a testbed that has more room (--testbed)"))
        }
    }
}

/// Whole gibibytes that hold so much beside what is not the layers'.
const fn larger(needed: Bytes) -> u64 {
    (needed.get().saturating_add(needed.get() / OWN)).div_ceil(GIB).saturating_mul(GIB)
}

/// As it is asked for.
fn with_size(spec: &Spec, size: u64) -> String {
    let Spec::Loop { file_system, quota, memory, .. } = spec else { return spec.to_string() };
    let options = [(*quota, ",quota"), (*memory, ",memory")];
    let options: String = options.iter().filter(|(given, _)| *given).map(|(_, word)| *word).collect();
    let file_system = file_system.map_or_else(String::new, |file_system| format!("{},", file_system.name()));
    format!("loop:{file_system}size={}G{options}", size / GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_testbed_that_would_do_is_named_as_it_was_asked_for() {
        let error = |needed| Error::Room {
            workload: "copyup",
            drivers: "vfs".to_owned(),
            needed,
            free: Bytes(7 * GIB),
            parameters: "sizes",
        };
        let told = |spec: &str, needed| told(&error(Bytes(needed)), Bytes(needed), &spec.parse().unwrap()).to_string();
        assert!(told("loop", 22 * GIB).ends_with("larger testbed: --testbed loop:size=25G"));
        assert!(told("loop:xfs,quota,size=1G,memory", GIB).ends_with("--testbed loop:xfs,size=2G,quota,memory"));
        assert!(told("loop:size=40G", 22 * GIB).ends_with("choose another --root"));
        assert!(told("dir:/x", GIB).contains("--testbed"));
        for spec in ["loop:size=25G", "loop:xfs,size=2G,quota,memory"] {
            assert!(spec.parse::<Spec>().is_ok(), "{spec}");
        }
    }
}
