use std::collections::BTreeMap;

use crate::{Result, RunDir, RunRecord, Sample, read_samples, summarise};

/// Puts runs of the same command side by side in one run directory: the drivers of each are named `driver@label`, so that
/// every chart has a column for each. Returns the samples.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Damaged`](crate::Error::Damaged) for what cannot be read or written.
pub fn merge(runs: &[(&str, RunDir)], into: &RunDir, base: RunRecord) -> Result<Vec<Sample>> {
    let mut record =
        RunRecord { drivers: BTreeMap::new(), unusable: BTreeMap::new(), left_out: BTreeMap::new(), ..base };
    let mut merged = Vec::new();
    let mut writer = into.writer()?;
    for (label, run) in runs {
        let part = run.read_record()?;
        record.drivers.extend(part.drivers.into_iter().map(|(driver, about)| (at(&driver, label), about)));
        record.unusable.extend(part.unusable.into_iter().map(|(driver, why)| (at(&driver, label), why)));
        record.left_out.extend(part.left_out.into_iter().map(|(driver, what)| (at(&driver, label), what)));
        record.workloads.extend(part.workloads);
        for mut sample in read_samples(&run.samples())? {
            sample.driver = at(&sample.driver, label);
            writer.write(&sample)?;
            merged.push(sample);
        }
    }
    into.write_record(&record)?;
    into.write_summary(&summarise(&merged))?;
    Ok(merged)
}

fn at(driver: &str, label: &str) -> String {
    format!("{driver}@{label}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DriverRecord, Fingerprint, Kind, Params, SCHEMA, Unit};

    fn record(run: &str) -> RunRecord {
        RunRecord {
            schema: SCHEMA,
            run: run.to_owned(),
            command: vec!["harness".to_owned()],
            version: "1".to_owned(),
            commit: None,
            host: Fingerprint::default(),
            drivers: BTreeMap::from([("vfs".to_owned(), DriverRecord::default())]),
            unusable: BTreeMap::from([("btrfs".to_owned(), "no".to_owned())]),
            left_out: BTreeMap::new(),
            images: BTreeMap::new(),
            measured: BTreeMap::new(),
            directory: std::path::PathBuf::new(),
            resumed: Vec::new(),
            workloads: BTreeMap::new(),
            seed: 1,
            rounds: 1,
            warmup: 0,
            start: String::new(),
            end: None,
            outcome: Some("complete".to_owned()),
        }
    }

    #[test]
    fn every_run_keeps_a_column_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let runs = ["6.1", "6.12"].map(|label| {
            let run = RunDir::create(&dir.path().join(label)).unwrap();
            run.write_record(&record(label)).unwrap();
            let sample = Sample {
                schema: SCHEMA,
                run: label.to_owned(),
                driver: "vfs".to_owned(),
                workload: "build".to_owned(),
                params: Params::default(),
                round: 1,
                phase: "total".to_owned(),
                metric: "wall".to_owned(),
                value: 1.0,
                unit: Unit::Seconds,
                kind: Kind::Time,
            };
            run.writer().unwrap().write(&sample).unwrap();
            (label, run)
        });
        let into = RunDir::create(&dir.path().join("both")).unwrap();
        merge(&runs, &into, record("both")).unwrap();
        let samples = read_samples(&into.samples()).unwrap();
        let drivers: Vec<_> = samples.iter().map(|sample| (sample.driver.as_str(), sample.run.as_str())).collect();
        assert_eq!(drivers, [("vfs@6.1", "6.1"), ("vfs@6.12", "6.12")]);
        let merged = into.read_record().unwrap();
        assert_eq!(merged.run, "both");
        assert_eq!(merged.drivers.into_keys().collect::<Vec<_>>(), ["vfs@6.1", "vfs@6.12"]);
        assert_eq!(merged.unusable.into_keys().collect::<Vec<_>>(), ["btrfs@6.1", "btrfs@6.12"]);
    }
}
