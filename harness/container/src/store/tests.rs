use storage_driver::{LayerId, Timestamp};

use super::*;
use crate::{Configuration, record::Phase};

fn record(id: &str, name: &str) -> Record {
    Record {
        id: id.to_owned(),
        name: name.to_owned(),
        image: "host".to_owned(),
        image_id: String::new(),
        driver: "vfs".to_owned(),
        driver_options: Vec::new(),
        layer: LayerId::new("a").unwrap(),
        auto_remove: false,
        created: Timestamp(1),
        configuration: Configuration::default(),
    }
}

fn containers() -> (tempfile::TempDir, Containers) {
    let dir = tempfile::tempdir().unwrap();
    let containers = Containers::open(dir.path().join("containers")).unwrap();
    (dir, containers)
}

#[test]
fn a_container_runs_while_it_is_held_and_is_dead_after() {
    let (_dir, containers) = containers();
    let held = containers.create(&record("abc", "web")).unwrap();
    assert_eq!(containers.state("abc").unwrap().1, Status::Created);
    held.write_state(&State { phase: Phase::Running, ..State::default() }).unwrap();
    assert_eq!(containers.state("abc").unwrap().1, Status::Running);
    let busy = containers.hold(&record("abc", "web"), Duration::ZERO).unwrap_err();
    assert!(busy.to_string().contains("in use"), "{busy}");
    drop(held);
    assert_eq!(containers.state("abc").unwrap().1, Status::Dead);
    let web = containers.find("ab").unwrap();
    let held = containers.hold(&web, Duration::ZERO).unwrap();
    containers.remove(&web, held).unwrap();
    assert!(matches!(containers.find("web"), Err(Error::NotFound { .. })));
    assert!(containers.collect().unwrap().is_empty());
}

/// Else nobody would ever take them away.
#[test]
fn containers_that_vanish_do_so_though_a_power_loss_took_their_state() {
    let (_dir, containers) = containers();
    for (id, vanishes, status) in [("a1", true, Status::Dead), ("a2", false, Status::Created)] {
        let record = Record { auto_remove: vanishes, ..record(id, id) };
        drop(containers.create(&record).unwrap());
        fs::write(containers.dir(id).join(STATE), "").unwrap();
        let found = containers.list().unwrap().into_iter().find(|(found, _)| found.id == id).unwrap();
        assert_eq!(found.1, status);
    }
}

#[test]
fn names_have_one_owner_and_are_free_after_it() {
    let (_dir, containers) = containers();
    let held = containers.create(&record("ab1", "web")).unwrap();
    let taken = containers.create(&record("ab2", "web")).unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }), "{taken}");
    assert!(!containers.dir("ab2").exists());
    containers.rename(&record("ab1", "web"), "other").unwrap();
    assert_eq!(containers.find("other").unwrap().id, "ab1");
    assert!(containers.find("web").is_err());
    drop(held);
    drop(containers.create(&record("ab2", "web")).unwrap());
    assert!(matches!(containers.find("ab"), Err(Error::Ambiguous { .. })));
    assert!(matches!(containers.find("..").unwrap_err(), Error::NotFound { .. }));
    for name in ["", "a", "-ab", "a/b", "..", "ab cd"] {
        assert!(containers.create(&record("ab3", name)).is_err(), "{name}");
    }
}

#[test]
fn what_was_cut_short_is_collected_and_its_name_is_free() {
    let (dir, containers) = containers();
    fs::create_dir(containers.dir("half")).unwrap();
    symlink("../gone", dir.path().join("containers/.names/lost")).unwrap();
    symlink("../vanished", dir.path().join("containers/.names/web")).unwrap();
    let _held = containers.create(&record("ab1", "web")).unwrap();
    assert_eq!(containers.collect().unwrap().len(), 2);
    assert_eq!(containers.list().unwrap().len(), 1);
}
