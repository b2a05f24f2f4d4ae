//! What cannot work is refused at opening, with the remedy.

use std::fs;

use driver_overlay2::{Options, Overlay2};
use storage_driver::{Error, MountMode};

use crate::support::{Place, create, make, within};

#[test]
fn privileged_an_overlay_on_an_overlay() {
    let place = Place::new();
    let driver = place.open();
    make(&driver, "base", None, |_| ());
    create(&driver, "top", Some("base"));
    within(&driver, "top", MountMode::ReadWrite, |root| {
        let refused = Overlay2::open(&root.join("inner"), Options::default()).unwrap_err();
        assert!(matches!(refused, Error::Unusable { .. }));
        let said = refused.to_string();
        assert!(said.contains("overlay") && said.contains("choose another --root"), "{said}");
        assert!(fs::read_dir(root.join("inner/staging")).unwrap().next().is_none(), "the trial's directory is left");
    });
}

#[test]
fn an_ordinary_user_is_told_what_is_needed() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let refused = Overlay2::open(place.root(), Options::default()).unwrap_err();
    assert!(refused.to_string().contains("user namespace"), "{refused}");
}
