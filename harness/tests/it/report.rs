//! Reports, as a browser shows them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use results::{DriverRecord, Fingerprint, Kind, Params, RunDir, RunRecord, SCHEMA, Sample, Unit};
use serde_json::Value;

use crate::{
    browser::Browser,
    place::{Answer, Place},
};

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

/// What cannot be read on a page, in words: text beyond its chart or over other text, text that is nearly as light as what is
/// under it, elements that cut their content off, charts without an extent.
fn unreadable(browser: &Browser) -> Value {
    browser.script(
        r"
        const found = [], box = (e) => e.getBoundingClientRect();
        const light = (colour) => {
            const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = colour.match(/[\d.]+/g).map(Number);
            return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b) + 0.05;
        };
        const contrast = (a, b) => Math.max(light(a) / light(b), light(b) / light(a));
        for (const svg of document.querySelectorAll('#charts svg, .key svg')) {
            const name = svg.closest('figure').querySelector('figcaption').textContent, frame = box(svg);
            if (frame.width < 100 || frame.height < 30) found.push(name + ' is not there');
            const fill = (e) => getComputedStyle(e).fill, isSeen = (colour) => !/none|, 0\)$/.test(colour);
            const shapes = [...svg.querySelectorAll('rect, polygon')].filter((e) => isSeen(fill(e)) && getComputedStyle(e).fillOpacity > 0.5);
            const texts = [...svg.querySelectorAll('text')];
            texts.forEach((text, index) => {
                const at = box(text), x = (at.left + at.right) / 2, y = (at.top + at.bottom) / 2;
                if (at.left < frame.left - 1 || at.right > frame.right + 1 || at.top < frame.top - 1 || at.bottom > frame.bottom + 1)
                    found.push(`${name}: '${text.textContent}' is cut off`);
                for (const other of texts.slice(index + 1).map(box)) {
                    const width = Math.min(at.right, other.right) - Math.max(at.left, other.left);
                    const height = Math.min(at.bottom, other.bottom) - Math.max(at.top, other.top);
                    if (width > 2 && height > 3) found.push(`${name}: '${text.textContent}' is under other text`);
                }
                const under = shapes.filter((e) => { const b = box(e);
                    return b.left < x && x < b.right && b.top < y && y < b.bottom
                        && e.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING; }).pop();
                const paper = under ? fill(under) : getComputedStyle(svg.closest('figure, body')).backgroundColor;
                const ink = fill(text);
                if (isSeen(paper) && contrast(ink, paper) < 3) found.push(`${name}: '${text.textContent}' is ${ink} on ${paper}`);
            });
        }
        for (const e of document.body.querySelectorAll('*')) {
            const cuts = getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1;
            if (cuts && !e.closest('svg, .scroll')) found.push(e.tagName + ' cuts off ' + e.textContent.slice(0, 30));
        }
        return found;",
    )
}

/// The elements that make a page too wide.
fn too_wide(browser: &Browser) -> Value {
    browser.script(
        "return [...document.body.querySelectorAll('*')]
            .filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll, pre'))
            .map((e) => e.tagName + '.' + e.getAttribute('class') + ' ' + e.textContent.slice(0, 30))",
    )
}

/// Opens a page on a desktop and on a phone, light and dark, with all that can be unfolded; it must not be wider than the screen.
fn everywhere(browser: &Browser, page: &Path, check: impl Fn(&str)) {
    for scheme in ["light", "dark"] {
        for width in [1280, 390] {
            browser.colours(scheme);
            browser.width(width);
            browser.open(page);
            browser.script("document.querySelectorAll('details').forEach((e) => { e.open = true; })");
            let wide = browser.script("return document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{wide} px of page on {width} px, {scheme}: {}", too_wide(browser));
            check(&format!("on {width} px, {scheme}"));
        }
    }
}

#[test]
fn a_browser_shows_the_page_and_nothing_else_happens() {
    let place = Place::new();
    let page = page(&place, &[run_dir(&place, "one", "6.1"), run_dir(&place, "two", HOSTILE)]);
    let browser = Browser::new();
    everywhere(&browser, &page, |_| {});
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

/// As much of every workload as there is a chart for.
const EVERYTHING: [&str; 12] = [
    "files=100",
    "read:size=16384",
    "changed=50",
    "most=50",
    "storm=50",
    "lifecycle:parallel=1,4",
    "density:containers=4",
    "iterations=2",
    "transactions=4",
    "delete:size=1048576",
    "snapshotter:size=4096",
    "layers:depths=1,4,8",
];

#[test]
fn privileged_a_report_of_all_workloads_can_be_read_on_a_phone_and_in_the_dark() {
    let place = Place::new();
    let run = place.dir.path().join("run");
    let mut args = vec!["--driver", "overlay2,vfs", "--workload", "all", "--quick", "--format", "none"];
    args.extend(EVERYTHING.iter().flat_map(|param| ["--param", *param]));
    args.extend(["--testbed", "loop:ext4,size=2G", "--out", run.to_str().unwrap()]);
    place.run(&args).ok();
    let page = page(&place, &[run]);
    let browser = Browser::new();
    everywhere(&browser, &page, |look| assert_eq!(unreadable(&browser), Value::Array(Vec::new()), "{look}"));
    assert_eq!(browser.console(), Vec::<Value>::new());
    let charts = browser.script("return document.querySelectorAll('#charts svg').length").as_u64().unwrap();
    assert!(charts >= 20, "{charts} charts");
    // What would be found if it were there.
    browser.script("document.querySelector('#charts svg text').setAttribute('x', '-50')");
    browser.script("document.querySelectorAll('.key svg text').forEach((e) => { e.style.fill = '#222'; })");
    let found = unreadable(&browser).to_string();
    assert!(found.contains("is cut off") && found.contains("is rgb(34, 34, 34) on"), "{found}");
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

/// A run's id is part of its files, which may be a stranger's.
#[test]
fn charts_are_drawn_anew_and_only_where_they_are_asked_for() {
    let place = Place::new();
    let runs = ["one", "two"].map(|name| run_dir(&place, name, "6.1"));
    let mut record = RunDir::open(&runs[1]).read_record().unwrap();
    record.run = "../../stranger".into();
    RunDir::open(&runs[1]).write_record(&record).unwrap();
    let drawn = place.dir.path().join("drawn");
    let mut command = place.command(&["report", "--out", "page.html", "--charts", "drawn"]);
    Answer::of(&command.args(&runs).output().unwrap()).ok();
    let files = |dir: &str| -> Vec<_> {
        let files = fs::read_dir(drawn.join(dir)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| fs::metadata(file).unwrap().len() > 1_000).collect()
    };
    for dir in ["one", "______stranger"] {
        let endings = |ending: &str| files(dir).iter().filter(|file| file.extension().unwrap() == ending).count();
        assert!(endings("svg") > 0 && endings("svg") == endings("png"), "{:?}", files(dir));
    }
    assert!(!runs[0].join("charts").exists() && !place.dir.path().join("stranger").exists());
    let mut command = place.command(&["report", "--out", "page.html", "--charts", "alone"]);
    Answer::of(&command.arg(&runs[0]).output().unwrap()).ok();
    assert!(place.dir.path().join("alone/copyup-time.png").exists());
}
