use super::*;
use crate::{DriverRecord, Fingerprint, Kind, Params, SCHEMA, Sample, Unit};

const HOSTILE: &str = "</script></style><img src=x onerror=alert(1)>\"'&<!--";

fn record(kernel: &str) -> RunRecord {
    RunRecord {
        schema: SCHEMA,
        run: "r".into(),
        command: vec!["harness".into(), "it's".into()],
        directory: "/".into(),
        version: "1".into(),
        commit: None,
        host: Fingerprint { kernel: kernel.into(), ..Fingerprint::default() },
        drivers: [("a".to_owned(), DriverRecord::default())].into(),
        unusable: [].into(),
        left_out: [].into(),
        images: [].into(),
        workloads: [].into(),
        measured: [].into(),
        seed: 1,
        rounds: 5,
        warmup: 0,
        start: "2026-01-01T00:00:00Z".into(),
        resumed: Vec::new(),
        end: None,
        outcome: None,
    }
}

fn first_writes(driver: &str, values: &[f64]) -> Vec<Sample> {
    let sample = |(round, value): (usize, &f64)| Sample {
        schema: SCHEMA,
        run: "r".into(),
        driver: driver.into(),
        workload: "copyup".into(),
        params: Params::default().with("op", "append").with("size", 1 << 26),
        round: round as u32 + 1,
        phase: "first".into(),
        metric: "wall".into(),
        value: *value,
        unit: Unit::Seconds,
        kind: Kind::Time,
    };
    values.iter().enumerate().map(sample).collect()
}

fn run(record: RunRecord, samples: Vec<Sample>) -> Run {
    Run::new(&Recorded { record, samples }, Vec::new())
}

/// A run that measured this.
pub fn run_of(samples: Vec<Sample>) -> Run {
    run(record("6.1"), samples)
}

#[test]
fn key_figures_of_one_driver_on_two_kernels_can_be_told_apart() {
    let page = |drivers: [&str; 2]| {
        let samples = drivers.map(|driver| first_writes(driver, &[1.0, 1.1, 1.2])).concat();
        page(&[run(record("6.1, 6.12"), samples)])
    };
    let kernels = page(["devicemapper@6.1.0-57-amd64", "devicemapper@6.12.117+deb12-amd64"]);
    assert_eq!(kernels.matches("class=\"hatching\"").count(), 1);
    for part in [">devicemapper</text>", ">6.1.0-57-amd64</text>", ">6.12.117+deb12…</text>"] {
        assert!(kernels.contains(part), "no {part}");
    }
    let drivers = page(["overlay2", "vfs"]);
    assert!(!drivers.contains("class=\"hatching\"") && !drivers.contains("class=\"kernel\""));
}

fn said(samples: Vec<Sample>) -> String {
    words::summary(&named(&[run(record("6.1"), samples)])).into_string()
}

#[test]
fn tells_differences_that_are_beyond_the_intervals() {
    let cheap = first_writes("a", &[0.001, 0.0011, 0.0009]);
    let text = said([cheap.clone(), first_writes("b", &[0.04, 0.041, 0.039])].concat());
    assert!(text.contains("First write to a file of 64 MiB: <b>a</b> least (1.00 ms), 40× cheaper than b."), "{text}");
    let text = said([cheap.clone(), first_writes("b", &[0.001, 0.04, 0.041])].concat());
    assert!(!text.contains("least") && text.contains("No difference beyond the intervals"), "{text}");
    let text = said([cheap, first_writes("b", &[0.04, 0.04])].concat());
    assert!(!text.contains("least") && text.contains("Measured too rarely"), "{text}");
}

#[test]
fn says_what_measuring_itself_costs() {
    let nothing = |metric: &str, value| {
        let sample = first_writes("a", &[value]).remove(0);
        Sample { workload: "empty".into(), phase: "nothing".into(), metric: metric.into(), ..sample }
    };
    let text = said(vec![nothing("wall", 0.000_001), nothing("sync", 0.002)]);
    assert!(text.contains("costs every phase 1.00 µs and 2.00 ms of syncing on a, as the workload"), "{text}");
    assert!(!said(first_writes("a", &[0.001])).contains("Measuring itself"));
}

#[test]
fn a_counter_that_was_read_once_tells_nothing() {
    let once = |driver, value| Sample {
        metric: "device_written_bytes".into(),
        unit: Unit::Bytes,
        kind: Kind::Counter,
        ..first_writes(driver, &[value]).remove(0)
    };
    let text = said(vec![once("a", 176_128.0), once("b", 241_664.0)]);
    assert!(!text.contains("least") && text.contains("Measured too rarely"), "{text}");
}

#[test]
fn one_driver_or_none_is_a_page_too() {
    assert!(said(first_writes("a", &[1.0])).contains("nothing to tell apart"));
    assert!(page(&[run(record("6.1"), Vec::new())]).contains("nothing was measured"));
    let zero = [first_writes("a", &[0.0; 3]), first_writes("b", &[1.0; 3])].concat();
    let text = page(&[run(record("6.1"), zero)]);
    assert!(text.contains("against 1.00 s of b") && !text.contains("NaN") && !text.contains("inf×"));
}

#[test]
fn hosts_are_told_apart_and_their_samples_are_not_mixed() {
    let runs = [run(record("6.1"), first_writes("a", &[1.0; 3])), run(record("6.12"), first_writes("a", &[3.0; 3]))];
    let text = page(&runs);
    assert!(
        text.contains("Hosts side by side") && text.contains("3.00 s <span class=\"note\">(3.0×)</span>"),
        "{text}"
    );
    let twice = [runs[0].clone(), runs[0].clone()];
    assert!(named(&twice)[0].label != named(&twice)[1].label);
    let mut other = runs[1].clone();
    other.record.workloads = [("copyup".to_owned(), [("sizes".to_owned(), "1".to_owned())].into())].into();
    let text = page(&[runs[0].clone(), other]);
    assert!(text.contains("(other parameters)") && !text.contains("(3.0×)"));
}

#[test]
fn what_a_stranger_wrote_stays_text() {
    let mut hostile = record(HOSTILE);
    hostile.command.push(HOSTILE.into());
    hostile.outcome = Some(HOSTILE.into());
    hostile.start = HOSTILE.into();
    hostile.unusable = [(HOSTILE.to_owned(), HOSTILE.to_owned())].into();
    hostile.left_out = [(HOSTILE.to_owned(), [(HOSTILE.to_owned(), HOSTILE.to_owned())].into())].into();
    hostile.workloads = [(HOSTILE.to_owned(), [(HOSTILE.to_owned(), HOSTILE.to_owned())].into())].into();
    hostile.images = [(HOSTILE.to_owned(), HOSTILE.to_owned())].into();
    let testbed = serde_json::json!({ HOSTILE: HOSTILE, "testbed": [HOSTILE] });
    let status = [(HOSTILE.to_owned(), HOSTILE.to_owned())].into();
    hostile.drivers = [(HOSTILE.to_owned(), DriverRecord { status, testbed })].into();
    let mut samples = first_writes(HOSTILE, &[1.0; 3]);
    for sample in &mut samples {
        sample.params.set(HOSTILE, HOSTILE);
        sample.params.set("size", HOSTILE);
    }
    samples.extend(samples.clone().into_iter().map(|sample| Sample {
        workload: HOSTILE.into(),
        phase: HOSTILE.into(),
        ..sample
    }));
    let text = page(&[run(hostile.clone(), samples.clone()), run(hostile, samples)]);
    assert!(!text.contains("<img") && !text.contains("<!--"), "markup came through");
    assert_eq!(text.matches("</script>").count(), 2, "data and script");
    assert_eq!(text.matches("</style>").count(), 1);
}

#[test]
fn loads_nothing() {
    let text = page(&[run(record("6.1"), first_writes("a", &[1.0]))]);
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("src="));
}
