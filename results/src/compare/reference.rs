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
    into.write_record(&anonymous(record))?;
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

/// Where it ran and by whom is nobody's business: the program and the directories that the command named keep their last
/// names, there and in what drivers said of them.
fn anonymous(mut record: RunRecord) -> RunRecord {
    let mut places: Vec<String> = named(&record.command).filter_map(parent).collect();
    places.extend(record.command.first().and_then(|program| parent(program)));
    // One may lie in another.
    places.sort_by_key(|place| std::cmp::Reverse(place.len()));
    let shorten = |text: &mut String| places.iter().for_each(|place| *text = text.replace(place, ""));
    record.directory = PathBuf::new();
    record.command.iter_mut().for_each(shorten);
    record.drivers.values_mut().flat_map(|driver| driver.status.values_mut()).for_each(shorten);
    record.unusable.values_mut().for_each(shorten);
    record.left_out.values_mut().flat_map(BTreeMap::values_mut).for_each(shorten);
    record
}

/// The directories of `--out` and `--root`.
fn named(command: &[String]) -> impl Iterator<Item = &str> {
    const OPTIONS: [&str; 2] = ["--out", "--root"];
    let apart = command.windows(2).filter(|words| OPTIONS.contains(&&*words[0])).map(|words| &*words[1]);
    let joined = command.iter().filter_map(|word| word.split_once('=')).filter(|(name, _)| OPTIONS.contains(name));
    apart.chain(joined.map(|(_, dir)| dir))
}

/// What stands before the last name of an absolute path.
fn parent(path: &str) -> Option<String> {
    let parent = Path::new(path).parent()?;
    (parent.is_absolute() && parent != Path::new("/")).then(|| format!("{}/", parent.display()))
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
    fn where_it_ran_is_not_kept() {
        let mut record = run(4.0, 1.0).record;
        let words =
            ["/home/me/bin/harness", "bench", "--out", "/tmp/x/new", "--root=/tmp/x/new.root", "--param", "a=b"];
        record.command = words.map(str::to_owned).to_vec();
        record.directory = "/home/me".into();
        let why = "no: /tmp/x/new.root/testbeds/t is on ext4".to_owned();
        record.unusable.insert("btrfs".to_owned(), why.clone());
        record.left_out.insert("vfs".to_owned(), BTreeMap::from([("a".to_owned(), why.clone())]));
        let kept = anonymous(record);
        assert_eq!(kept.command.join(" "), "harness bench --out new --root=new.root --param a=b");
        assert_eq!(kept.unusable["btrfs"], "no: new.root/testbeds/t is on ext4");
        assert_eq!(kept.left_out["vfs"]["a"], kept.unusable["btrfs"]);
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("/tmp") && !text.contains("/home"), "{text}");
    }

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
