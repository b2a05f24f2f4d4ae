//! What changed, by generation: the same as by comparing the two trees, at the cost of the change.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Instant,
};

use storage_driver::{LayerId, StorageDriver};
use storage_layer::tree;

use crate::support::{Place, layer, sealed};

/// Fails unless the driver tells what the walk tells, as a list and as a tar; paths looked at are the answer.
fn equal(place: &Place, driver: &dyn StorageDriver, parent: &LayerId, id: &LayerId, what: &str) -> (u64, u64) {
    let (lower, upper) = (place.tree(parent), place.tree(id));
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let walked = tree::diff(Some(&lower), &upper, &mut expected).unwrap();
    let told = driver.diff(id, &mut found).unwrap();
    assert_eq!(driver.changes(id).unwrap(), tree::changes(Some(&lower), &upper).unwrap(), "{what}");
    assert!(expected == found, "{what}: the tars differ");
    assert_eq!((walked.entries, walked.content, walked.skipped), (told.entries, told.content, told.skipped), "{what}");
    (told.examined, walked.examined)
}

/// 20,000 files in 200 directories.
fn many(root: &Path) {
    for directory in 0..200 {
        let directory = root.join(format!("d{directory:03}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(format!("f{file:02}")), "content").unwrap();
        }
    }
}

#[test]
fn privileged_one_change_in_20000_files_looks_at_few_paths() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, many);
    type Act = fn(&Path);
    let acts: [(&str, u64, Act); 6] = [
        ("edit", 4, |root| fs::write(root.join("d100/f50"), "changed").unwrap()),
        ("mode", 4, |root| fs::set_permissions(root.join("d100/f50"), PermissionsExt::from_mode(0o600)).unwrap()),
        ("delete", 3, |root| fs::remove_file(root.join("d100/f50")).unwrap()),
        ("create", 3, |root| fs::write(root.join("d100/new"), "new").unwrap()),
        ("rename", 4, |root| fs::rename(root.join("d100/f50"), root.join("d100/g50")).unwrap()),
        ("nothing", 0, |_| {}),
    ];
    for (what, most, act) in acts {
        let id = layer(&driver, what, Some(&base), act);
        let start = Instant::now();
        let (told, walked) = equal(&place, &driver, &base, &id, what);
        eprintln!("{what}: {told} of {walked} in {:?}", start.elapsed());
        assert!(walked >= 40_000, "{what}: the walk looked at {walked} paths");
        assert!(told <= most, "{what}: {told} paths were looked at");
    }
}
