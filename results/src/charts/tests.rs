use std::collections::BTreeMap;

use super::*;
use crate::{DriverRecord, Fingerprint, Kind, Params, RunRecord, SCHEMA, Sample, Unit};

/// A run like a real one: three drivers, a dozen steps, values from a formula.
fn run(dir: &Path) -> RunDir {
    let run = RunDir::create(dir).unwrap();
    let testbed = serde_json::json!({"testbed": "loop:ext4,size=8192M", "file_system": "ext4"});
    let names = ["overlay2", "vfs", "btrfs"];
    let driver = |name: &str| (name.to_owned(), DriverRecord { testbed: testbed.clone(), ..DriverRecord::default() });
    let host =
        Fingerprint { kernel: "6.1.0".into(), cpu: "A CPU".into(), cpus: 2, memory: 8 << 30, ..Fingerprint::default() };
    let record = RunRecord {
        schema: SCHEMA,
        run: "20260101-000000-abcdef".into(),
        command: vec!["harness".into()],
        version: "0.1.0".into(),
        commit: None,
        host,
        drivers: names.iter().map(|name| driver(name)).collect(),
        unusable: BTreeMap::new(),
        left_out: BTreeMap::new(),
        images: BTreeMap::new(),
        measured: BTreeMap::new(),
        directory: PathBuf::new(),
        resumed: Vec::new(),
        workloads: BTreeMap::new(),
        seed: 1,
        rounds: 5,
        warmup: 1,
        start: "2026-01-01T00:00:00Z".into(),
        end: None,
        outcome: None,
    };
    run.write_record(&record).unwrap();
    let mut writer = run.writer().unwrap();
    let steps = [
        "COPY files /work/files",
        "RUN for f in files/d00/*; do echo appended >> \"$f\"; done and a long tail",
        "RUN make",
    ];
    for (d, driver) in names.iter().enumerate() {
        for round in 1..=5u32 {
            let mut put = |step: Option<String>, phase: &str, metric: &str, value: f64, unit| {
                let mut params = Params::default().with("dockerfile", "tensteps");
                if let Some(step) = step {
                    params.set("step", step);
                }
                let kind = if unit == Unit::Seconds { Kind::Time } else { Kind::Counter };
                let sample = Sample {
                    schema: SCHEMA,
                    run: "r".into(),
                    driver: (*driver).to_owned(),
                    workload: "build".into(),
                    params,
                    round,
                    phase: phase.into(),
                    metric: metric.into(),
                    value,
                    unit,
                    kind,
                };
                writer.write(&sample).unwrap();
            };
            let factor = (d + 1) as f64 * (1.0 + f64::from(round * 7 % 5) / 50.0);
            for (index, step) in steps.iter().enumerate() {
                let label = || Some(format!("{:02} {step}", index + 1));
                for (p, phase) in ["prepare", "mount", "run", "diff", "commit"].iter().enumerate() {
                    put(label(), phase, "wall", factor * 0.01 * (p + index) as f64, Unit::Seconds);
                }
                put(label(), "total", "copied_up_bytes", if d == 0 { 4e5 } else { 0.0 } * index as f64, Unit::Bytes);
                put(label(), "total", "device_written_bytes", 1e4 * 30f64.powi(d as i32) * factor, Unit::Bytes);
            }
            put(None, "build", "wall", factor, Unit::Seconds);
            put(None, "container", "wall", factor / 4.0, Unit::Seconds);
        }
    }
    run
}

#[test]
fn every_chart_is_a_picture_that_names_what_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let files = render(&run(dir.path())).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    for file in &files {
        let bytes = fs::read(file).unwrap();
        match file.extension().unwrap().to_str().unwrap() {
            "png" => assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{}", file.display()),
            _ => {
                let text = String::from_utf8(bytes).unwrap();
                for part in
                    ["overlay2", "n = 5", "Linux 6.1.0", "ext4", "font-family=\"DejaVu Sans, Verdana, sans-serif\""]
                {
                    assert!(text.contains(part), "{} lacks {part}", file.display());
                }
            }
        }
    }
}

#[test]
fn the_same_run_gives_the_same_pictures() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = |dir: &Path| -> Vec<Vec<u8>> {
        render(&run(dir)).unwrap().iter().map(|file| fs::read(file).unwrap()).collect()
    };
    assert!(bytes(one.path()) == bytes(two.path()));
}
