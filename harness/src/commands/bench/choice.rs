//! From what the user asked for to what is run.

use std::collections::BTreeMap;

use workloads::{Params, Workload};

use crate::{
    drivers::{self, Entry},
    failure::{Failure, Result},
    nearest,
};

/// The workloads of these names, each once; `all` for all of them.
pub fn workloads(asked: &[String]) -> Result<Vec<Box<dyn Workload>>> {
    let mut chosen: Vec<Box<dyn Workload>> = Vec::new();
    for name in asked.iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        if name == "all" {
            return Ok(workloads::all());
        }
        if chosen.iter().any(|workload| workload.name() == name) {
            continue;
        }
        let known: Vec<_> = workloads::all().iter().map(|workload| workload.name()).collect();
        let found = workloads::all().into_iter().find(|workload| workload.name() == name);
        chosen.push(found.ok_or_else(|| Failure::usage(nearest::unknown("workload", name, known.iter().copied())))?);
    }
    if chosen.is_empty() {
        return Err(Failure::usage("no workload was named; `harness list` shows them"));
    }
    Ok(chosen)
}

/// The parameters of each of the workloads: `NAME=VALUE` is for all that have it, `WORKLOAD:NAME=VALUE` for one.
pub fn params(workloads: &[Box<dyn Workload>], given: &[String], quick: bool) -> Result<Vec<Params>> {
    let given = given.iter().map(|text| Given::parse(workloads, text)).collect::<Result<Vec<_>>>()?;
    let of = |workload: &dyn Workload| -> Result<Params> {
        let known = workload.params();
        let has = |name: &str| known.iter().any(|param| param.name == name);
        let mine = given.iter().filter(|given| match &given.workload {
            Some(name) => name == workload.name(),
            None => workloads.len() == 1 || has(&given.name),
        });
        let mine: BTreeMap<_, _> = mine.map(|given| (given.name.clone(), given.value.clone())).collect();
        Ok(Params::new(&known, &mine, quick)?)
    };
    workloads.iter().map(|workload| of(workload.as_ref())).collect()
}

/// One `--param`.
struct Given {
    workload: Option<String>,
    name: String,
    value: String,
}

impl Given {
    fn parse(workloads: &[Box<dyn Workload>], text: &str) -> Result<Self> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--param takes [WORKLOAD:]NAME=VALUE, not {text:?}")))?;
        let (workload, name) = match name.split_once(':') {
            Some((workload, name)) => (Some(workload.to_owned()), name),
            None => (None, name),
        };
        let names = || workloads.iter().map(|workload| workload.name());
        if let Some(workload) = &workload
            && !names().any(|known| known == workload)
        {
            return Err(Failure::usage(nearest::unknown("workload", workload, names())));
        }
        let known = || workloads.iter().flat_map(|workload| workload.params()).map(|param| param.name);
        // Of one workload alone, the workload says what it has.
        if workload.is_none() && workloads.len() > 1 && !known().any(|known| known == name) {
            return Err(Failure::usage(nearest::unknown("parameter", name, known())));
        }
        Ok(Self { workload, name: name.to_owned(), value: value.to_owned() })
    }
}

/// The options of each of the drivers: `NAME=VALUE` is for all of them, `DRIVER:NAME=VALUE` for one.
pub fn driver_options(given: &[String], entries: &[&'static Entry]) -> Result<Vec<drivers::Options>> {
    let mut of_each = vec![Vec::new(); entries.len()];
    for option in given {
        match option.split_once(':').filter(|(driver, _)| !driver.contains('=')) {
            Some((driver, rest)) => {
                let named = drivers::find(driver)?;
                let place = entries.iter().position(|entry| entry.name == named.name).ok_or_else(|| {
                    let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
                    let (named, names) = (named.name, names.join(", "));
                    Failure::usage(format!("--driver-opt {option} is for {named}, and --driver names {names}"))
                })?;
                of_each[place].push(rest.to_owned());
            }
            None => of_each.iter_mut().for_each(|options| options.push(option.clone())),
        }
    }
    of_each.iter().map(|options| drivers::options(options)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(asked: &[&str]) -> Vec<String> {
        asked.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn parameters_go_to_those_who_have_them() {
        let chosen = workloads(&texts(&["density,churn", "density"])).unwrap();
        assert_eq!(chosen.len(), 2);
        let set = params(&chosen, &texts(&["containers=9", "churn:iterations=4"]), false).unwrap();
        assert_eq!((set[0].text("containers"), set[1].text("iterations")), ("9", "4"));
        for wrong in ["contaners=9", "density:iterations=4", "build:files=1", "iterations"] {
            assert!(params(&chosen, &texts(&[wrong]), false).is_err(), "{wrong}");
        }
        assert!(params(&chosen[..1], &texts(&["iterations=4"]), false).is_err());
    }

    #[test]
    fn driver_options_go_to_who_is_named() {
        let chosen = drivers::choose(&texts(&["overlay2,vfs"])).unwrap().entries;
        let options = driver_options(&texts(&["sync=off", "overlay:metacopy=on", "vfs:copy=a:b"]), &chosen).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options[0], drivers::Options::from([pair("metacopy", "on"), pair("sync", "off")]));
        assert_eq!(options[1], drivers::Options::from([pair("copy", "a:b"), pair("sync", "off")]));
        for (wrong, says) in [
            ("overlya2:metacopy=on", "did you mean overlay2?"),
            ("btrfs:quota=off", "is for btrfs, and --driver names overlay2, vfs"),
            ("vfs:copy", "NAME=VALUE"),
        ] {
            let refused = driver_options(&texts(&[wrong]), &chosen).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn all_means_each_once() {
        assert_eq!(workloads(&texts(&["empty,all"])).unwrap().len(), workloads::all().len());
        assert!(workloads(&texts(&["lifecycl"])).unwrap_err().to_string().contains("lifecycle"));
        assert!(workloads(&texts(&[","])).is_err());
    }
}
