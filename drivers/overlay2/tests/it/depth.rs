//! How many layers fit, by either way of mounting; and that one too many is refused, never mounted in part.

use std::{fs, path::Path};

use driver_overlay2::{Durability, Options, Overlay2};
use storage_driver::{CreateOptions, Error, MountMode, StorageDriver};

use crate::support::{Place, create, id, lacks, options, within};

/// Builds a chain of as many layers as the driver takes, each with a file of its own.
fn chain(place: &Place, api: &str) -> (Overlay2, u32) {
    // Five hundred times a journal commit would be half a minute.
    let options = Options { durability: Durability::Skip, ..options(&[("mount_api", api)]) };
    let driver = Overlay2::open(place.root(), options).unwrap();
    let most = driver.capabilities().max_depth.unwrap();
    let mut parent = None;
    for number in 1..=most {
        let name = format!("layer-{number}");
        create(&driver, &name, parent.as_deref());
        let diff = place.root().join("layers").join(&name).join("diff");
        fs::write(diff.join(&name), &name).unwrap();
        fs::write(diff.join("top"), &name).unwrap();
        driver.seal(&id(&name)).unwrap();
        parent = Some(name);
    }
    (driver, most)
}

fn assert_whole(root: &Path, most: u32) {
    for number in 1..=most {
        let name = format!("layer-{number}");
        assert_eq!(fs::read_to_string(root.join(&name)).unwrap(), name);
    }
    assert_eq!(fs::read_to_string(root.join("top")).unwrap(), format!("layer-{most}"));
}

fn fills_to_its_limit(api: &str) {
    if lacks(api) {
        return;
    }
    let place = Place::new();
    let (driver, most) = chain(&place, api);
    assert_eq!(most, 500);
    let top = format!("layer-{most}");
    // As lowers only, all of them.
    within(&driver, &top, MountMode::ReadOnly, |root| assert_whole(root, most));

    let below = format!("layer-{}", most - 1);
    create(&driver, "writable", Some(&below));
    within(&driver, "writable", MountMode::ReadWrite, |root| assert_whole_but_top(root, most - 1));

    let refused = driver.create(&id("too-deep"), Some(&id(&top)), &CreateOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::TooDeep { depth: 501, limit: 500, .. }), "{refused}");
    assert_eq!(driver.list().unwrap().len() as u32, most + 1);
    assert!(place.names("staging").is_empty());
}

fn assert_whole_but_top(root: &Path, most: u32) {
    assert_whole(root, most);
    fs::write(root.join("layer-1"), "changed").unwrap();
    assert_eq!(fs::read_to_string(root.join("layer-1")).unwrap(), "changed");
}

#[test]
fn privileged_five_hundred_layers_by_context() {
    fills_to_its_limit("new");
}

#[test]
fn privileged_five_hundred_layers_by_page() {
    fills_to_its_limit("legacy");
}

/// The kernel says so itself if the driver's own limit were ever too high.
#[test]
fn privileged_the_kernel_refuses_one_more_and_says_why() {
    use storage_sys::mount::FsContext;
    let place = Place::new();
    if lacks("new") {
        return;
    }
    let context = FsContext::new("overlay").unwrap();
    let mut refused = None;
    for number in 0..=500 {
        let dir = place.dir().join(number.to_string());
        fs::create_dir(&dir).unwrap();
        if let Err(error) = context.set_path("lowerdir+", &dir) {
            refused = Some((number, error));
        }
    }
    let (number, error) = refused.unwrap();
    assert_eq!(number, 500);
    assert!(error.log.contains("500"), "{error}");
}
