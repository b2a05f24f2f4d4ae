//! What cannot work is refused at opening, with the remedy.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use driver_overlay2::{Options, Overlay2};
use storage_driver::{Error, MountMode};

use crate::support::{Place, create, make, process_by, within};

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
fn privileged_an_ordinary_user_is_told_what_is_needed() {
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place.root()).unwrap();
    chown(place.root(), Some(65534), Some(65534)).unwrap();
    let starter = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = process_by(&starter, &place.dir().join("test"), "open", place.root());
    let said = String::from_utf8(command.output().expect("setpriv(1): install util-linux").stdout).unwrap();
    assert!(said.contains("refused: ") && said.contains("needs root, or a user namespace"), "{said}");
}
