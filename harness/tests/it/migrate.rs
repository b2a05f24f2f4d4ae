//! Images and containers that change their storage driver.

use std::fs;

use crate::place::{Place, entries};

fn layers(place: &Place, driver: &str) -> usize {
    entries(&place.root().join("drivers").join(driver).join("layers"))
}

fn image(place: &Place, driver: &str) {
    let dockerfile = "FROM host\nRUN mkdir /data && echo one > /data/a && ln /data/a /data/b && mkfifo /data/pipe\n\
                      RUN rm /data/a && echo two > /data/c && chmod 4711 /data/c\nCMD cat /data/b /data/c\n";
    let context = place.context(&[("Dockerfile", dockerfile)]);
    place.run(&["build", "--driver", driver, "-t", "my:1", context.to_str().unwrap()]).ok();
}

#[test]
fn privileged_images_and_containers_change_their_driver() {
    for (from, to) in [("overlay2", "vfs"), ("vfs", "overlay2")] {
        there_and_back(&Place::new(), from, to, &[]);
    }
}

#[test]
fn privileged_also_from_and_to_snapshots_with_options() {
    there_and_back(&Place::on_btrfs(), "overlay2", "btrfs", &["--to-opt", "diff=walk", "--from-opt", "metacopy=off"]);
    let place = Place::on_btrfs();
    there_and_back(&place, "btrfs", "overlay2", &[]);
    let args = ["migrate", "--from", "btrfs", "--to", "overlay2", "--to-opt", "colour=red"];
    place.run(&args).status_is(2).says("colour");
}

fn there_and_back(place: &Place, from: &str, to: &str, options: &[&str]) {
    image(place, from);
    let script = "echo mine > /data/mine; rm /data/c; cat /data/mine";
    place.container(&["--driver", from, "--name", "box"], &["my:1", "sh", "-c", script]).ok();
    let before = layers(place, from);
    assert!(before >= 4, "{before} layers on {from}");

    let answer = place.run(&[&["migrate", "--from", from, "--to", to], options].concat()).ok();
    assert!(answer.out.contains("my:1") && answer.out.contains("box"), "{answer:?}");
    assert_eq!(layers(place, from), 0, "layers stay on {from}");
    assert!(layers(place, to) >= 4, "layers are missing on {to}");
    let ran = place.container(&["--driver", to, "--rm"], &["my:1"]).ok();
    assert_eq!(ran.out, "one\ntwo\n");
    let record = place.run(&["ps", "-a", "--format", "json"]).ok().out;
    assert!(record.contains("box"), "{record}");
    place.run(&["rm", "box"]).ok();

    // There is nothing left to migrate, and back again it is the same.
    place.run(&["migrate", "--from", from, "--to", to]).ok();
    place.run(&["migrate", "--from", to, "--to", from, "my:1"]).ok();
    assert_eq!(place.container(&["--driver", from, "--rm"], &["my:1"]).ok().out, "one\ntwo\n");
}

#[test]
fn privileged_what_another_image_needs_stays() {
    let place = Place::new();
    image(&place, "overlay2");
    let context = place.context(&[("Dockerfile", "FROM my:1\nRUN echo more > /more\n")]);
    place.run(&["build", "--driver", "overlay2", "-t", "other", context.to_str().unwrap()]).ok();
    let before = layers(&place, "overlay2");
    place.run(&["migrate", "--from", "overlay2", "--to", "vfs", "other"]).ok();
    assert_eq!(layers(&place, "overlay2"), before - 1, "only the layer of its own was to go");
    assert_eq!(place.container(&["--driver", "overlay2", "--rm"], &["my:1"]).ok().out, "one\ntwo\n");
    place.run(&["migrate", "--keep", "--from", "overlay2", "--to", "vfs"]).ok();
    assert_eq!(layers(&place, "overlay2"), before - 1, "--keep took layers away");
}

#[test]
fn privileged_a_layer_that_differs_stays_where_it_is() {
    let place = Place::new();
    image(&place, "vfs");
    let before = layers(&place, "vfs");
    // Somebody wrote past the driver.
    let root = place.root().join("drivers/vfs/layers");
    let spoiled = fs::read_dir(root).unwrap().flatten().filter_map(|layer| {
        let file = fs::read_dir(layer.path()).ok()?.flatten().map(|entry| entry.path().join("data/c"));
        file.into_iter().find(|path| path.exists())
    });
    let spoiled: Vec<_> = spoiled.collect();
    assert!(!spoiled.is_empty());
    for file in spoiled {
        fs::write(file, "XXX\n").unwrap();
    }
    let answer = place.run(&["migrate", "--from", "vfs", "--to", "overlay2"]).status_is(1);
    assert!(answer.err.contains("/data/c"), "{answer:?}");
    assert_eq!(layers(&place, "vfs"), before);
}

#[test]
fn privileged_nonsense_is_refused() {
    let place = Place::new();
    place.run(&["migrate", "--from", "vfs", "--to", "vfs"]).status_is(2);
    place.run(&["migrate", "--from", "vfs", "--to", "nfs"]).status_is(2).says("did you mean vfs");
    place.run(&["migrate", "--from", "vfs", "--to", "overlay2"]).status_is(2).says("no layers");
}
