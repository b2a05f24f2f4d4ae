//! Reports, as a browser shows them.

use std::{fs, path::PathBuf};

use results::{DriverRecord, Fingerprint, Kind, Params, RunDir, RunRecord, SCHEMA, Sample, Unit};
use serde_json::Value;

use crate::{browser::Browser, place::Place};

/// Would run, or end what it stands in, if it were not escaped everywhere.
const HOSTILE: &str = "</script><img src=http://127.0.0.1:9/x onerror=\"document.title='taken'\"><!--";

/// A run directory with 160 cells: more than the table shows at once.
fn run_dir(place: &Place, name: &str, kernel: &str) -> PathBuf {
    let path = place.dir.path().join(name);
    let dir = RunDir::create(&path).unwrap();
    let drivers = ["overlay2", "vfs", HOSTILE];
    let status = [("option".to_owned(), HOSTILE.to_owned()), ("long".to_owned(), "x".repeat(300))].into();
    let testbed = serde_json::json!({ "testbed": "loop:ext4", "mkfs": HOSTILE });
    let driver = DriverRecord { status, testbed };
    let record = RunRecord {
        schema: SCHEMA,
        run: name.into(),
        command: vec!["harness".into(), HOSTILE.into(), "y".repeat(200)],
        directory: "/".into(),
        version: "1".into(),
        commit: None,
        host: Fingerprint { kernel: kernel.into(), cpu: HOSTILE.into(), cpus: 2, ..Fingerprint::default() },
        drivers: drivers.map(|name| (name.to_owned(), driver.clone())).into(),
        unusable: [("btrfs".to_owned(), HOSTILE.to_owned())].into(),
        left_out: [].into(),
        images: [].into(),
        workloads: [("copyup".to_owned(), [("sizes".to_owned(), HOSTILE.to_owned())].into())].into(),
        measured: [].into(),
        seed: 1,
        rounds: 3,
        warmup: 0,
        start: "2026-01-01T00:00:00Z".into(),
        resumed: Vec::new(),
        end: None,
        outcome: Some("interrupted".into()),
    };
    dir.write_record(&record).unwrap();
    let mut writer = dir.writer().unwrap();
    for (cell, driver) in (0..160_u32).zip(drivers.into_iter().cycle()) {
        for round in 1..=3 {
            let params =
                Params::default().with("op", "append").with("size", 4096 << (cell / 3 % 14)).with("n", cell / 42);
            let value = f64::from((cell * 7919) % 1009 + 1) * 1e-5 * f64::from(round);
            let (schema, unit, kind) = (SCHEMA, Unit::Seconds, Kind::Time);
            let [run, workload, phase, metric] = [name, "copyup", "first", "wall"].map(str::to_owned);
            let driver = driver.to_owned();
            let sample = Sample { schema, run, driver, workload, params, round, phase, metric, value, unit, kind };
            writer.write(&sample).unwrap();
        }
    }
    path
}

fn page(place: &Place, runs: &[PathBuf]) -> PathBuf {
    let out = place.dir.path().join("page.html");
    let mut args = vec!["report", "--out", out.to_str().unwrap()];
    args.extend(runs.iter().map(|run| run.to_str().unwrap()));
    place.run(&args).ok();
    out
}

/// Medians of the rows that are shown, in seconds.
fn medians(browser: &Browser) -> Vec<f64> {
    let body = "const at = [...document.querySelectorAll('#rows th')].findIndex((th) => th.textContent === 'Median');
        const units = { s: 1, ms: 1e-3, 'µs': 1e-6 };
        return [...document.querySelectorAll('#rows tbody tr')].map((tr) => {
            const [value, unit] = tr.cells[at].textContent.split(' ');
            return Number(value) * units[unit];
        });";
    browser.script(body).as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// The elements that make a page too wide.
fn too_wide(browser: &Browser) -> Value {
    browser.script(
        "return [...document.body.querySelectorAll('*')]
            .filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll, pre'))
            .map((e) => e.tagName + '.' + e.getAttribute('class') + ' ' + e.textContent.slice(0, 30))",
    )
}

#[test]
fn a_browser_shows_the_page_and_nothing_else_happens() {
    let place = Place::new();
    let page = page(&place, &[run_dir(&place, "one", "6.1"), run_dir(&place, "two", HOSTILE)]);
    let browser = Browser::new();
    for scheme in ["light", "dark"] {
        for width in [1280, 390] {
            browser.colours(scheme);
            browser.width(width);
            browser.open(&page);
            let wide = browser.script("return document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{wide} px of page on {width} px, {scheme}: {}", too_wide(&browser));
        }
    }
    assert_eq!(browser.console(), Vec::<Value>::new());
    let requests = browser.requests();
    assert!(requests.iter().any(|url| url.starts_with("file:")), "requests are seen at all: {requests:?}");
    // The browser's own first tab is chrome://, which no page can ask for.
    let is_own = |url: &str| url.ends_with("/page.html") || url.starts_with("data:") || url.starts_with("chrome:");
    let others: Vec<_> = requests.iter().filter(|url| !is_own(url)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(browser.script("return document.images.length"), 0);
    assert_ne!(browser.script("return document.title"), "taken");
    let charts = browser.script("return document.querySelectorAll('.key svg title').length");
    assert!(charts.as_u64().unwrap() >= 6, "bars have tooltips: {charts}");
}

#[test]
fn a_script_of_a_stranger_does_not_run() {
    let place = Place::new();
    let page = page(&place, &[run_dir(&place, "one", "6.1")]);
    // Even if escaping failed somewhere.
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, text.replacen("<main", "<script>document.title = 'taken'</script><main", 1)).unwrap();
    let browser = Browser::new();
    browser.open(&page);
    assert_ne!(browser.script("return document.title"), "taken");
    assert!(browser.console().iter().any(|entry| entry.to_string().contains("Content Security Policy")));
}

#[test]
fn the_table_sorts_and_filters() {
    let place = Place::new();
    let browser = Browser::new();
    browser.width(1280);
    browser.open(&page(&place, &[run_dir(&place, "one", "6.1")]));
    let shown = medians(&browser);
    assert_eq!(shown.len(), 100);
    assert!(!shown.is_sorted());
    browser.click("#rows th[data-column='6'] button");
    assert!(medians(&browser).is_sorted());
    assert_eq!(browser.script("return document.querySelector('#rows th[data-column=\"6\"]').ariaSort"), "ascending");
    browser.click("#rows th[data-column='6'] button");
    assert!(medians(&browser).is_sorted_by(|a, b| a >= b));
    browser.click("#more");
    assert_eq!(medians(&browser).len(), 160);
    browser.script("const box = document.querySelector('#filter input'); box.value = 'vfs size=4096'; box.dispatchEvent(new Event('input', { bubbles: true }))");
    let filtered = medians(&browser).len();
    assert!((1..20).contains(&filtered), "{filtered} rows");
}

#[test]
fn light_and_dark_differ() {
    let place = Place::new();
    let browser = Browser::new();
    browser.open(&page(&place, &[run_dir(&place, "one", "6.1")]));
    let colours = |scheme| {
        browser.colours(scheme);
        browser.script("const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]")
    };
    let (light, dark) = (colours("light"), colours("dark"));
    assert!(light[0] != dark[0] && light[1] != dark[1], "{light} {dark}");
}

#[test]
fn what_is_no_run_is_named() {
    let place = Place::new();
    place.run(&["report", "/nonexistent"]).status_is(2).says("/nonexistent/run.json");
    place.run(&["report"]).status_is(2).says("<RUN>");
    let run = run_dir(&place, "one", "6.1");
    fs::write(run.join("samples.csv"), "no samples\n1\n").unwrap();
    place.run(&["report", run.to_str().unwrap()]).says("samples.csv is damaged");
    assert!(!run.join("report.html").exists());
}
