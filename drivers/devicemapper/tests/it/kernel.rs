//! The ioctls, held against dmsetup.

use storage_driver::StorageDriver;
use storage_sys::dm::{
    Control, Suspend, Target,
    thin::{Pool, Thin},
};

use crate::support::{Place, create, said, write};

#[test]
fn privileged_tables_status_and_messages_are_dmsetups() {
    let place = Place::new();
    let driver = place.open(&[]);
    let layer = create(&driver, "layer", None);
    write(&driver, &layer, "f", b"x");
    let view = driver.mount(&layer, storage_driver::MountMode::ReadOnly).unwrap();
    let control = Control::open().unwrap();
    for (name, kind) in [(place.device("pool"), "thin-pool"), (place.device("2"), "thin")] {
        let table = &control.table(&name).unwrap()[0];
        let line = format!("{} {} {kind} {}", table.start, table.length, table.text);
        assert_eq!(line.trim(), said("dmsetup", &["table", &name]).trim());
        let status = &control.status(&name, false).unwrap()[0];
        let line = format!("{} {} {kind} {}", status.start, status.length, status.text);
        assert_eq!(line.trim(), said("dmsetup", &["status", &name]).trim());
        let info = control.find(&name).unwrap().unwrap();
        let shown = said("dmsetup", &["info", "-c", "--noheadings", "-o", "open,segments,suspended", &name]);
        assert_eq!(shown.trim(), format!("{}:1:Active", info.open_count));
        assert!(info.active_table && !info.inactive_table && !info.suspended);
        if kind == "thin" {
            assert!(matches!(status.text.parse(), Ok(Thin::Works { mapped: 1.., .. })), "{}", status.text);
        } else {
            assert!(matches!(status.text.parse(), Ok(Pool::Works(_))), "{}", status.text);
        }
    }
    let targets = control.targets().unwrap();
    let shown = said("dmsetup", &["targets"]);
    for (name, version) in &targets {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
        assert!(line.ends_with(&format!("v{version}")), "{line}");
    }
    let pool = place.device("pool");
    control.message(&pool, "create_thin 1000").unwrap();
    let refused = control.message(&pool, "create_thin 1000").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(17));
    said("dmsetup", &["message", &pool, "0", "delete 1000"]);
    assert!(control.message(&pool, "no_such_thing").is_err());
    view.close().unwrap();
}

#[test]
fn privileged_a_device_is_made_suspended_kept_and_removed() {
    // Fails where the kernel cannot.
    let place = Place::new();
    let control = Control::open().unwrap();
    let name = format!("harness-test-{}", std::process::id());
    control.create(&name, &name).unwrap();
    assert!(control.create(&name, &name).is_err());
    control.load(&name, &[Target::whole(8, "error", String::new())], false).unwrap();
    control.clear(&name).unwrap();
    control.load(&name, &[Target::whole(2048, "error", String::new())], false).unwrap();
    assert!(control.find(&name).unwrap().unwrap().inactive_table);
    let device = control.resume(&name).unwrap();
    assert!(control.load(&name, &[Target::whole(8, "no-such-target", String::new())], false).is_err());
    control.suspend(&name, Suspend::Flush).unwrap();
    assert!(control.find(&name).unwrap().unwrap().suspended);
    assert!(!control.resume(&name).unwrap().suspended);
    assert!(control.devices().unwrap().contains(&(name.clone(), device.dev)));
    let node = storage_sys::dm::node::of(&name, device.dev).unwrap();
    let open = std::fs::File::open(node).unwrap();
    assert_eq!(control.remove(&name).unwrap_err().kind(), std::io::ErrorKind::ResourceBusy);
    control.remove_deferred(&name).unwrap();
    assert!(control.find(&name).unwrap().unwrap().deferred_remove);
    control.keep(&name).unwrap();
    assert!(!control.find(&name).unwrap().unwrap().deferred_remove);
    control.remove_deferred(&name).unwrap();
    drop(open);
    for _ in 0..100 {
        if control.find(&name).unwrap().is_none() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(control.find(&name).unwrap().is_none());
    assert!(control.remove(&name).is_err());
    drop(place);
}
