//! Images that leave the store and come back: archives, layouts, a real registry.

use std::fs;

use crate::{place::Place, registry::Registry};

fn build(place: &Place, name: &str) -> String {
    let context =
        place.context(&[("Dockerfile", "FROM host\nCOPY file /\nRUN echo more >> /file\n"), ("file", "one\n")]);
    place.run(&["build", "--driver", "vfs", "-q", "-t", name, context.to_str().unwrap()]).ok().out.trim().to_owned()
}

fn id(place: &Place, name: &str) -> String {
    place.run(&["images", "-q", "--no-trunc", name]).ok().out.trim().to_owned()
}

#[test]
fn privileged_an_archive_brings_the_image_back() {
    let place = Place::new();
    let built = build(&place, "mine:1");
    for format in ["docker", "oci"] {
        let file = place.dir.path().join(format!("{format}.tar"));
        let file = file.to_str().unwrap();
        place.run(&["save", "--format", format, "-o", file, "mine:1"]).ok();
        let other = Place::new();
        let loaded = other.run(&["load", "-i", file]).ok();
        assert!(loaded.out.contains("mine:1"), "{loaded:?}");
        assert_eq!(id(&other, "mine:1"), built);
        let said = other.container(&["--rm", "--driver", "vfs", "mine:1"], &["cat", "/file"]).ok();
        assert_eq!(said.out, "one\nmore\n");
    }
}

#[test]
fn privileged_a_registry_and_a_layout_bring_the_image_back() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = build(&place, "mine:1");
    let there = format!("{}/some/mine:1", registry.address);
    place.run(&["tag", "mine:1", &there]).ok();
    place.run(&["push", &there]).ok();
    let layout = format!("oci:{}:one", place.dir.path().join("layout").display());
    place.run(&["push", "mine:1", &layout]).ok();

    for (from, name) in [(there.as_str(), there.as_str()), (layout.as_str(), "taken:2")] {
        let other = Place::new();
        let tag: &[&str] = if from == name { &[] } else { &["--tag", name] };
        let pulled = other.run(&[&["pull", from][..], tag].concat()).ok();
        assert_eq!(pulled.out.trim(), built);
        assert_eq!(id(&other, name), built);
    }
    place.run(&["pull", &format!("{}/nothing:1", registry.address)]).status_is(1).says("nothing");
}

#[test]
fn privileged_a_base_that_is_not_there_comes_from_its_registry() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = build(&place, "mine:1");
    let base = format!("{}/base:1", registry.address);
    place.run(&["push", "-q", "mine:1", &base]).ok();

    let other = Place::new();
    let context = other.context(&[("Dockerfile", &format!("FROM {base}\nCMD [\"cat\", \"/file\"]\n"))]);
    let context = context.to_str().unwrap();
    other.run(&["build", "--driver", "vfs", "-t", "own", context]).ok();
    assert_eq!(id(&other, &base), built);
    assert_eq!(other.container(&["--rm", "--driver", "vfs", "own"], &[]).ok().out, "one\nmore\n");
    // The registry has another one by now; it is taken when it is asked for.
    let newer = place.context(&[("Dockerfile", "FROM mine:1\nENV NEWER=1\n")]);
    place.run(&["build", "--driver", "vfs", "-t", "mine:2", newer.to_str().unwrap()]).ok();
    place.run(&["push", "-q", "mine:2", &base]).ok();
    other.run(&["build", "--driver", "vfs", context]).ok();
    assert_eq!(id(&other, &base), built);
    other.run(&["build", "--driver", "vfs", "--pull", context]).ok();
    assert_eq!(id(&other, &base), id(&place, "mine:2"));
}

#[test]
fn privileged_what_is_no_archive_is_refused_and_leaves_no_image() {
    let place = Place::new();
    let file = place.dir.path().join("file");
    fs::write(&file, "no tar at all").unwrap();
    place.run(&["load", "-i", file.to_str().unwrap()]).status_is(1).says("file");
    place.run(&["load", "-i", "/nonexistent"]).says("/nonexistent");
    place.run(&["pull", "ftp:/somewhere"]).status_is(2).says("not known");
    assert_eq!(place.run(&["images", "-q"]).ok().out, "");
}

#[test]
fn privileged_layers_are_compressed_on_the_way_out() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = build(&place, "mine:1");
    let blobs = || fs::read_dir(place.root().join("images/blobs/sha256")).unwrap().count();
    let before = blobs();
    for form in ["gzip", "zstd", "uncompressed"] {
        let (there, archive) = (format!("{}/mine:{form}", registry.address), place.dir.path().join(form));
        place.run(&["push", "-q", "--compression", form, "mine:1", &there]).ok();
        let saved = ["save", "--compression", form, "-o", archive.to_str().unwrap(), "mine:1"];
        place.run(&saved).ok();
        assert_eq!(blobs(), before, "the store has other blobs");
        let skopeo = std::process::Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{there}")])
            .output()
            .expect("install skopeo");
        let manifest = String::from_utf8(skopeo.stdout).unwrap();
        let end = if form == "uncompressed" { "v1.tar\"".to_owned() } else { format!("v1.tar+{form}\"") };
        assert!(manifest.contains(&end), "{manifest}");
        // What comes back is the same image.
        let other = Place::new();
        assert_eq!(other.run(&["pull", "-q", &there]).ok().out.trim(), built);
        other.run(&["load", "-i", archive.to_str().unwrap()]).ok();
        assert_eq!(id(&other, "mine:1"), built);
        let said = other.container(&["--rm", "--driver", "vfs", &there], &["cat", "/file"]).ok();
        assert_eq!(said.out, "one\nmore\n");
    }
    // As a whole archive may be, too.
    for (program, end) in [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst")] {
        let other = Place::new();
        let archive = place.dir.path().join("uncompressed");
        let packed = std::process::Command::new(program).arg("-k").arg(&archive).status();
        assert!(packed.unwrap_or_else(|error| panic!("install {program}: {error}")).success());
        other.run(&["load", "-i", archive.with_extension(end).to_str().unwrap()]).ok();
        assert_eq!(id(&other, "mine:1"), built);
    }
    let sizes = ["gzip", "uncompressed"].map(|form| fs::metadata(place.dir.path().join(form)).unwrap().len());
    assert!(sizes[0] * 3 / 2 < sizes[1], "{sizes:?}");
}
