//! What docs/reading-results.md tells people to type, typed: against runs of this program, and held against their summaries.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::place::Place;

const DOCUMENT: &str = include_str!("../../../docs/reading-results.md");
/// Debian's pandas and PyPI's DuckDB; `cargo xtask setup` makes it.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python");
const CELL: &str = "depth=1;op=append;size=1048576";

/// The snippets in one language that contain a word, as they stand there.
fn snippets(language: &str) -> Vec<&'static str> {
    let parts = DOCUMENT.split("\n```").skip(1).step_by(2);
    let of_language = parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n'));
    of_language.collect()
}

/// A directory in which `RUN` is a run of two drivers, and `runs/` has it and another.
fn runs(place: &Place) -> PathBuf {
    let dir = place.dir.path().join("work");
    fs::create_dir_all(dir.join("runs")).unwrap();
    let bench = |out: &str, args: &[&str]| {
        let out = dir.join("runs").join(out);
        let common = ["--quick", "--testbed", "loop:ext4,size=1G", "--format", "none", "--out", out.to_str().unwrap()];
        place.run(&[args, &common[..]].concat()).ok();
    };
    bench("one", &["--driver", "overlay2,vfs", "--workload", "copyup,lifecycle", "--param", "lifecycle:parallel=1"]);
    bench("two", &["--driver", "vfs", "--workload", "copyup", "--param", "operations=append"]);
    symlink("runs/one", dir.join("RUN")).unwrap();
    dir
}

fn python(dir: &Path, program: &str, input: &str) -> String {
    let mut command = Command::new(PYTHON);
    command.args(["-c", program]).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{PYTHON}: {error}; run cargo xtask setup"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{input}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// The rows that DuckDB gives.
fn duckdb(dir: &Path, query: &str) -> Vec<Vec<Value>> {
    const PROGRAM: &str = "import duckdb, json, sys
print(json.dumps(duckdb.sql(sys.stdin.read()).fetchall()))";
    serde_json::from_str(&python(dir, PROGRAM, query)).unwrap()
}

/// Medians of the times of one phase, from summary.csv, in seconds: driver, parameters, value.
fn medians(run: &Path, workload: &str, phase: &str) -> Vec<(String, String, f64)> {
    let summary = fs::read_to_string(run.join("summary.csv")).unwrap();
    let rows = summary.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let fits = rows.filter(|row| (row[1], row[3], row[4]) == (workload, phase, "wall"));
    fits.map(|row| (row[0].to_owned(), row[2].to_owned(), row[8].parse().unwrap())).collect()
}

fn is_near(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= expected * 1e-6
}

#[test]
fn privileged_what_the_document_has_people_type_gives_what_the_summary_says() {
    let place = Place::new();
    let dir = runs(&place);
    let [starts, columns, hosts] = snippets("sql")[..] else { panic!("other queries") };
    let [pandas] = snippets("python")[..] else { panic!("other programs") };
    let run = dir.join("RUN");

    let expected = medians(&run, "lifecycle", "start");
    let rows = duckdb(&dir, starts);
    assert_eq!(rows.len(), expected.len());
    assert!(expected.len() >= 2, "{expected:?}");
    for (driver, params, seconds) in &expected {
        let row = rows.iter().find(|row| row[0] == driver.as_str() && row[1] == params.as_str()).unwrap();
        assert!(row[2].as_u64().unwrap() >= 3 && is_near(row[3].as_f64().unwrap(), seconds * 1e3), "{row:?} {seconds}");
    }

    let expected = medians(&run, "copyup", "first");
    let rows = duckdb(&dir, columns);
    assert_eq!(rows.len(), expected.len());
    let driver_by = |driver: &str| expected.iter().find(|(of, params, _)| of == driver && params == CELL).unwrap().2;
    for driver in ["overlay2", "vfs"] {
        let row = rows.iter().find(|row| row[0] == driver && row[1] == "append" && row[2] == 1_048_576).unwrap();
        assert!(is_near(row[3].as_f64().unwrap(), driver_by(driver) * 1e6), "{row:?}");
    }

    let rows = duckdb(&dir, hosts);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(rows.iter().all(|row| row[0] == kernel.trim() && row[5] == 3), "{rows:?}");
    let ids: BTreeSet<_> = rows.iter().map(|row| row[2].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (3, 2), "{rows:?}");

    let table = python(&dir, pandas, "");
    let line = table.lines().skip_while(|line| !line.starts_with("append")).find(|line| line.contains("1048576"));
    let last: Vec<f64> = line.unwrap().split_whitespace().rev().take(2).map(|word| word.parse().unwrap()).collect();
    for (value, driver) in last.iter().zip(["vfs", "overlay2"]) {
        // As many digits as pandas prints.
        assert!((value / (driver_by(driver) * 1e6) - 1.0).abs() < 1e-3, "{table}");
    }
}

#[test]
fn a_killed_runs_last_row_is_cut_off_as_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("RUN")).unwrap();
    fs::write(dir.path().join("RUN/samples.csv"), "schema,run\n1,a\n1,b").unwrap();
    let command = snippets("console").into_iter().find(|snippet| snippet.contains("whole.csv")).unwrap();
    assert!(Command::new("sh").args(["-ec", command]).current_dir(&dir).status().unwrap().success());
    assert_eq!(fs::read_to_string(dir.path().join("whole.csv")).unwrap(), "schema,run\n1,a\n");
}
