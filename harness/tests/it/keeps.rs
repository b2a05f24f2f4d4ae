//! The table in docs/drivers.md says what is measured.

use std::collections::BTreeMap;

use crate::place::Place;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/drivers.md");

/// What depends on the kernel's configuration and not on the driver: project quotas on ext4.
const KERNELS: [&str; 1] = ["a layer's size can be limited"];

/// Row and driver to cell, without the numbers of the notes; and the rows in their order.
fn table(text: &str) -> (Vec<String>, BTreeMap<(String, String), String>) {
    let mut lines = text.lines().filter(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        cells.collect::<Vec<_>>()
    });
    let drivers = lines.next().expect("a table");
    let mut rows = Vec::new();
    let mut cells = BTreeMap::new();
    for line in lines.skip(1) {
        for (driver, cell) in drivers.iter().zip(&line).skip(1) {
            let word = cell.split(" (").next().unwrap_or(cell).to_owned();
            cells.insert((line[0].clone(), driver.clone()), word);
        }
        rows.push(line[0].clone());
    }
    (rows, cells)
}

#[test]
fn privileged_the_document_says_what_is_measured() {
    let place = Place::new();
    let measured = place.run(&["conformance", "--driver", "overlay2,vfs,btrfs", "--keeps"]).ok().out;
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let section =
        document.split_once("<!-- measured: begin -->").unwrap().1.split_once("<!-- measured: end -->").unwrap().0;
    let ((rows, cells), (known_rows, known)) = (table(&measured), table(section));
    assert_eq!(rows, known_rows, "make it again: harness lab --share docs -- conformance --keeps docs/drivers.md");
    for (place, cell) in cells.iter().filter(|((row, _), _)| !KERNELS.contains(&row.as_str())) {
        assert_eq!(Some(cell), known.get(place), "{place:?}");
    }
}

#[test]
fn privileged_a_document_without_marks_is_left_alone() {
    let place = Place::new();
    let path = place.dir.path().join("document.md");
    std::fs::write(&path, "no marks").unwrap();
    let path = path.to_str().unwrap();
    place.run(&["conformance", "--driver", "vfs", "--keeps", path]).status_is(2).says("measured: begin");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "no marks");
}
