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

#[test]
fn a_run_on_several_kernels_names_each_driver_once_and_says_that_kernels_took_turns() {
    let dir = tempfile::tempdir().unwrap();
    let parts = [("6.1", run(&dir.path().join("a"))), ("6.12", run(&dir.path().join("b")))];
    let into = RunDir::create(&dir.path().join("both")).unwrap();
    let mut record = parts[0].1.read_record().unwrap();
    record.drivers.clear();
    crate::merge(&parts, &into, record).unwrap();
    for (_, part) in &parts {
        let drawn = caption_of(part);
        assert!(drawn.contains("drivers interleaved") && !drawn.contains("in turn"), "{drawn}");
    }
    let drawn = caption_of(&into);
    assert!(drawn.contains("kernels in turn, drivers interleaved"), "{drawn}");
    assert!(
        drawn.starts_with("Bars") && drawn.contains("btrfs on loop:btrfs (btrfs), ext4 on loop:ext4 (overlay2, vfs);"),
        "{drawn}"
    );
}

/// Both were drawn alike once: two bars, or two lines, of one colour.
#[test]
fn kernels_of_one_driver_look_different_in_every_chart() {
    let dir = tempfile::tempdir().unwrap();
    let parts = [("6.1", other_workloads(&dir.path().join("a"))), ("6.12", other_workloads(&dir.path().join("b")))];
    let into = RunDir::create(&dir.path().join("both")).unwrap();
    crate::merge(&parts, &into, parts[0].1.read_record().unwrap()).unwrap();
    let of = |run: &RunDir| draw(&Recorded::read(run.path()).unwrap()).unwrap();
    let (one, both) = (of(&parts[0].1), of(&into));
    assert_eq!(one.len(), both.len());
    // Cells of the heat map have no driver's colour.
    for (one, both) in one.iter().zip(&both).filter(|(one, _)| one.name != "overview") {
        let (filled, hollow) = shapes(&one.svg);
        assert!(filled > 0 && hollow == 0, "{}: {hollow} shapes of the only kernel are not plain", one.name);
        assert_eq!(
            shapes(&both.svg),
            (filled, filled),
            "{}: filled of the first kernel, hollow of the second",
            one.name
        );
        let (before, now) = (lines(&one.svg), lines(&both.svg));
        assert!(before == 0 || now > 3 * before, "{}: {before} lines, and then {now} with their dashes", one.name);
    }
}

/// Bars and marks in colours of drivers and phases, those of the legend apart: how many are filled, and how many an outline.
fn shapes(svg: &str) -> (usize, usize) {
    let shapes = || svg.lines().filter(|line| line.starts_with("<rect") || line.starts_with("<circle"));
    let shapes = || shapes().filter(|line| !line.contains("y=\"76\""));
    let filled = shapes().filter(|line| line.contains("opacity=\"1\"") && is_coloured(line, "fill"));
    (filled.count(), shapes().filter(|line| is_coloured(line, "stroke")).count())
}

/// Lines of series, and their dashes.
fn lines(svg: &str) -> usize {
    let lines = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains("stroke-width=\"2\""));
    lines.filter(|line| is_coloured(line, "stroke")).count()
}

/// Neither paper nor text nor grid.
fn is_coloured(line: &str, attribute: &str) -> bool {
    let value = line.split_once(&format!("{attribute}=\"#")).and_then(|(_, rest)| rest.get(..6));
    value.is_some_and(|value| [&value[..2], &value[2..4], &value[4..]].iter().any(|part| *part != &value[..2]))
}

/// Of the chart of building and running, in one line.
fn caption_of(run: &RunDir) -> String {
    let mut record = run.read_record().unwrap();
    for (name, driver) in &mut record.drivers {
        let file_system = if name.starts_with("btrfs") { "btrfs" } else { "ext4" };
        driver.testbed = serde_json::json!({"testbed": format!("loop:{file_system}"), "file_system": file_system});
    }
    let samples = crate::read_samples(&run.samples()).unwrap();
    let summaries = summarise(&samples);
    let view = View { record: &record, samples: &samples, summaries: &summaries };
    view.frame("build", "title", "subtitle", "Bars", "warm").caption.join(" ")
}

/// Everything but `build`: a line of a file for each cell.
fn other_workloads(dir: &Path) -> RunDir {
    let run = run(dir);
    let mut samples = crate::read_samples(&run.samples()).unwrap();
    let of = samples[0].clone();
    let mut put = |driver: &str, workload: &str, params: &str, phase: &str, metric: &str, value: f64, unit: Unit| {
        let kind = if unit == Unit::Seconds { Kind::Time } else { Kind::Counter };
        samples.push(Sample {
            driver: driver.to_owned(),
            workload: workload.to_owned(),
            params: params.parse().unwrap(),
            phase: phase.to_owned(),
            metric: metric.to_owned(),
            value,
            unit,
            kind,
            ..of.clone()
        });
    };
    for (driver, factor) in [("overlay2", 1.0), ("vfs", 2.0), ("btrfs", 3.0)] {
        for size in [4096.0, 1_048_576.0] {
            for op in ["append", "chmod"] {
                let params = format!("depth=1;op={op};size={size}");
                put(driver, "copyup", &params, "first", "wall", factor * 1e-9 * size, Unit::Seconds);
                let taken = if op == "chmod" && driver == "btrfs" { 0.0 } else { size };
                put(driver, "copyup", &params, "first", "allocated_bytes", taken, Unit::Bytes);
                put(driver, "copyup", &params, "first", "device_written_bytes", size + 8192.0, Unit::Bytes);
                put(driver, "copyup", &params, "second", "wall", 1e-5, Unit::Seconds);
            }
        }
        for depth in [1, 16, 64] {
            put(driver, "layers", &format!("depth={depth}"), "mount", "wall", factor * 1e-4, Unit::Seconds);
        }
        for alive in [1, 2, 4] {
            put(driver, "density", &format!("alive={alive}"), "one more", "wall", factor * 1e-3, Unit::Seconds);
        }
        for (number, memory) in [9e6, 2e6, 2e6, 2e6, 2e6].into_iter().enumerate() {
            let params = format!("alive={}", (number + 1).next_power_of_two());
            put(driver, "density", &params, "one more", "memory_cgroup_bytes", factor * memory, Unit::Bytes);
        }
        for parallel in ["01", "08"] {
            let params = format!("level=container;parallel={parallel}");
            for step in ["create", "mount", "start", "exec", "exit", "unmount", "remove", "life"] {
                put(driver, "lifecycle", &params, step, "wall", factor * 1e-3, Unit::Seconds);
            }
        }
        put(driver, "density", "containers=8", "alive", "memory_cgroup_bytes", factor * 4e6, Unit::Bytes);
        put(driver, "density", "containers=8", "alive", "mounts", 8.0, Unit::Count);
        for containers in [1.0, 8.0] {
            let params = format!("cache=cold;containers={containers};pattern=sequential");
            let read = if driver == "overlay2" { 1.0 } else { containers };
            put(driver, "read", &params, "read", "device_read_factor", read, Unit::Ratio);
        }
        put(driver, "apply", "case=one-in-large", "apply", "content_bytes", 1.0, Unit::Bytes);
        put(driver, "apply", "case=one-in-large", "apply", "device_written_bytes", 1e6, Unit::Bytes);
        put(driver, "apply", "case=many", "apply", "content_bytes", 1e6, Unit::Bytes);
        put(driver, "apply", "case=many", "apply", "device_written_bytes", factor * 1e6, Unit::Bytes);
    }
    fs::remove_file(run.samples()).unwrap();
    let mut writer = run.writer().unwrap();
    samples.iter().for_each(|sample| writer.write(sample).unwrap());
    run
}

#[test]
fn every_workload_has_its_charts_and_every_mark_says_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = draw(&Recorded::read(other_workloads(dir.path()).path()).unwrap()).unwrap();
    let picture = |name: &str| &pictures.iter().find(|picture| picture.name == name).unwrap().svg;
    assert!(
        picture("overview").contains("<title>first write to the largest file: append, vfs: 2.10 ms (2.0x =)</title>")
    );
    let copyup = picture("copyup-time");
    assert!(copyup.contains("<title>append, overlay2, size of the file 1 MiB: 1.05 ms (1.05 ms to 1.05 ms)</title>"));
    assert!(copyup.contains("4 KiB") && copyup.contains("chmod"));
    assert!(picture("copyup-space").contains("overlay2 (append: slope 1.00)"));
    assert!(picture("lifecycle").contains("8 at once"));
    assert!(picture("starts").contains("99 %") && picture("starts").contains("half within"));
    assert!(picture("depth").contains("layers below"));
    assert!(picture("density").contains("containers alive"));
    let held = picture("held");
    assert!(held.contains("memory by its cgroup, vfs: 1.00 MB"), "{held}");
    assert!(held.contains("one more: memory by its cgroup, vfs: 4.00 MB"), "{held}");
    assert!(held.contains("mounts while they are alive: 8 of btrfs"), "{held}");
    assert!(
        picture("sharing").contains("device read factor, vfs, containers that read the same image at once 8: 8.00")
    );
    assert!(picture("copyup-device").contains("overlay2 (append: slope 1.00)"));
    assert!(!picture("write-amplification").contains("one-in-large"));
    assert!(picture("parallel").contains("containers at once"));
    assert!(picture("write-amplification").contains("apply case=many apply, btrfs: 3.00"));
    for picture in &pictures {
        assert!(png::from_svg(&picture.svg).is_ok(), "{}", picture.name);
    }
}

#[test]
fn nothing_measured_is_nothing_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let empty = Recorded { samples: Vec::new(), ..Recorded::read(run.path()).unwrap() };
    assert_eq!(draw(&empty).unwrap(), []);
}

#[test]
fn names_in_a_run_are_no_markup() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Recorded::read(run(dir.path()).path()).unwrap();
    for sample in &mut run.samples {
        if let Some(step) = sample.params.get("step") {
            let step = format!("{step} <script>&\u{1}");
            sample.params.set("step", step);
        }
    }
    for picture in draw(&run).unwrap() {
        assert!(!picture.svg.contains("<script>"), "{}", picture.name);
        assert!(png::from_svg(&picture.svg).is_ok(), "{}", picture.name);
    }
}

#[test]
fn a_comparison_and_a_history_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let base = Recorded::read(run(dir.path()).path()).unwrap();
    let mut new = base.clone();
    for sample in new.samples.iter_mut().filter(|sample| sample.kind == Kind::Time) {
        sample.value *= 2.0;
    }
    let options = crate::compare::Options { paired: true, ..Default::default() };
    let comparison = crate::compare::compare(&base, &new, &options);
    let picture = ratios(&comparison, &options.thresholds).unwrap().unwrap();
    assert!(picture.svg.contains("2.00x (2.00 to 2.00)"), "{}", picture.svg);
}

#[test]
fn a_history_says_where_the_program_and_the_kernel_changed() {
    let dir = tempfile::tempdir().unwrap();
    let first = Recorded::read(run(dir.path()).path()).unwrap().record;
    let mut second = RunRecord { commit: Some("0123456789abcdef".into()), ..first.clone() };
    let mut third = second.clone();
    third.host.kernel = "6.12.0".into();
    assert!(is_continued(&first, &third), "another kernel is what a history is to show");
    let moment = |run, median| Moment { run, driver: "vfs".into(), median, interval: (median, median) };
    let cell = |moments: &[Moment]| History { what: "a commit".into(), unit: Unit::Seconds, moments: moments.to_vec() };
    let three = [moment(1, 1.0), moment(2, 3.0), moment(3, 2.0)];
    let drawn = history(&[&first, &second, &third], &[cell(&three)]).unwrap().unwrap();
    for part in ["a commit, vfs, run 2: 3.00 s", "commit 012345678", "Linux 6.12.0", "n = 5 rounds", "A CPU, 2 CPUs"] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }
    assert!(png::from_svg(&drawn).is_ok());
    assert_eq!(history(&[&first], &[cell(&three[..1])]).unwrap(), None);
    second.host.cpus = 64;
    assert!(!is_continued(&first, &second));
}
