//! Reference runs: what a run's counters were, kept beside the code they are of, one for each fingerprint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{CellId, fingerprint};
use crate::{Error, Kind, Recorded, Result, RunDir, RunRecord, Sample, read_samples};

/// Keeps the counters and shapes of a run in `dir`, under its fingerprint, in place of those of an older one.
///
/// Cells that were the same in every round keep one row of them: that is all there is to know about them.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`].
pub fn keep(run: &Path, dir: &Path) -> Result<PathBuf> {
    let from = RunDir::open(run);
    let record = from.read_record()?;
    let samples = read_samples(&from.samples())?;
    let path = dir.join(fingerprint(&record));
    if path.exists() {
        std::fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
    }
    let into = RunDir::create(&path)?;
    // Where it ran and by whom is nobody's business.
    let record = RunRecord { directory: PathBuf::new(), command: anonymous(&record.command), ..record };
    into.write_record(&record)?;
    let mut writer = into.writer()?;
    essential(&samples).into_iter().try_for_each(|sample| writer.write(sample))?;
    Ok(path)
}

/// The run itself, or of a directory of reference runs the one that `new` can be held against.
///
/// # Errors
/// [`Error::NoReference`] where there is none; [`Error::Io`], [`Error::Damaged`].
pub fn find(base: &Path, new: &Recorded) -> Result<Recorded> {
    if base.join("run.json").exists() {
        return Recorded::read(base);
    }
    let fingerprint = fingerprint(&new.record);
    let path = base.join(&fingerprint);
    if !path.exists() {
        return Err(Error::NoReference { dir: base.to_owned(), fingerprint });
    }
    Recorded::read(&path)
}

fn anonymous(command: &[String]) -> Vec<String> {
    let mut words = command.to_vec();
    if let Some(program) = words.first_mut() {
        *program =
            Path::new(&*program).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    }
    words
}

fn essential(samples: &[Sample]) -> Vec<&Sample> {
    let exact = || samples.iter().filter(|sample| sample.kind != Kind::Time);
    let mut varies: BTreeMap<CellId, (f64, bool)> = BTreeMap::new();
    for sample in exact() {
        let known = varies.entry(sample.into()).or_insert((sample.value, false));
        known.1 |= known.0.to_bits() != sample.value.to_bits();
    }
    let first = samples.iter().map(|sample| sample.round).min();
    exact().filter(|sample| Some(sample.round) == first || varies[&CellId::from(*sample)].1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Options, Verdict, compare, tests::run};

    #[test]
    fn a_reference_is_found_by_what_it_stands_on() {
        let dir = tempfile::tempdir().unwrap();
        let made = run(4.0, 1.0);
        let out = RunDir::create(&dir.path().join("out")).unwrap();
        out.write_record(&made.record).unwrap();
        let mut writer = out.writer().unwrap();
        made.samples.iter().for_each(|sample| writer.write(sample).unwrap());
        let references = dir.path().join("reference");
        let path = keep(out.path(), &references).unwrap();
        assert_eq!(keep(out.path(), &references).unwrap(), path, "a newer one takes its place");
        assert_eq!(Recorded::read(&path).unwrap().samples.len(), 1, "counters alone, and once where they are the same");
        let found = find(&references, &made).unwrap();
        assert!(compare(&found, &made, &Options::default()).is_passed());
        assert_eq!(compare(&found, &run(9.0, 1.0), &Options::default()).verdict(), Verdict::Regress);
        let mut other = made;
        other.record.host.kernel = "6.12".to_owned();
        assert!(matches!(find(&references, &other), Err(Error::NoReference { .. })));
    }
}
