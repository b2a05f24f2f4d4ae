use std::fs;

use harness_transfer::{Location, Options, copy_in, copy_out};

use crate::support::{Fixture, at, skopeo};

fn place(text: &str) -> Location {
    text.parse().unwrap()
}

#[test]
fn every_transport_carries_an_image_there_and_back() {
    let ours = Fixture::new();
    let image = ours.mixed(&["mixed:1"]);
    let paths = ["oci", "oci-archive", "docker-archive", "dir"].map(|transport| (transport, ours.path(transport)));
    for (transport, path) in paths {
        let mut text = at(transport, &path);
        if transport != "dir" {
            text.push_str(":x.org/mixed:9");
        }
        copy_out(&ours.store, &image, &place(&text), &Options::default(), &()).unwrap();
        copy_out(&ours.store, &image, &place(&text), &Options::default(), &()).unwrap();
        let theirs = Fixture::new();
        let name = "taken:1".parse().unwrap();
        let back =
            copy_in(&theirs.store, &place(&text), std::slice::from_ref(&name), &Options::default(), &()).unwrap();
        assert_eq!((back.manifest_digest, back.references), (image.manifest_digest, vec![name]), "{transport}");
        let bare = Fixture::new();
        let back = copy_in(&bare.store, &place(&at(transport, &path)), &[], &Options::default(), &()).unwrap();
        assert_eq!(back.id, image.id);
        theirs.assert_clean();
    }
}

#[test]
fn skopeo_reads_what_is_written_and_the_other_way() {
    let ours = Fixture::new();
    let image = ours.gzipped(&["mixed:1"]);
    for transport in ["oci", "oci-archive", "docker-archive", "dir"] {
        let (out, back) = (ours.path(transport), ours.path(&format!("{transport}-back")));
        let tag = if transport == "dir" { "" } else { ":mixed:1" };
        copy_out(&ours.store, &image, &place(&format!("{}{tag}", at(transport, &out))), &Options::default(), &())
            .unwrap();
        let from_skopeo = format!("{}{tag}", at(transport, &back));
        skopeo(&format!("{}{tag}", at(transport, &out)), &from_skopeo, &[]);
        let theirs = Fixture::new();
        let taken = copy_in(&theirs.store, &place(&from_skopeo), &[], &Options::default(), &()).unwrap();
        assert_eq!(taken.chain(), image.chain(), "{transport}");
        theirs.assert_clean();
    }
    // docker's media types, as registries have them.
    let docker = ours.path("v2s2");
    skopeo(&at("oci", &ours.path("oci")), &at("dir", &docker), &["--format", "v2s2"]);
    let theirs = Fixture::new();
    let taken = copy_in(&theirs.store, &place(&at("dir", &docker)), &[], &Options::default(), &()).unwrap();
    assert_eq!(taken.chain(), image.chain());
    assert!(taken.media_type.to_string().contains("docker"));
    theirs.assert_clean();
}

#[test]
fn layouts_keep_their_other_images_and_move_tags() {
    let ours = Fixture::new();
    let (one, two) = (ours.image(&["one"], &["one"]), ours.image(&["two"], &["two"]));
    let to = |tag: &str| place(&format!("{}:{tag}", at("oci", &ours.path("layout"))));
    copy_out(&ours.store, &one, &to("a"), &Options::default(), &()).unwrap();
    copy_out(&ours.store, &two, &to("b"), &Options::default(), &()).unwrap();
    copy_out(&ours.store, &two, &to("a"), &Options::default(), &()).unwrap();
    let theirs = Fixture::new();
    assert_eq!(copy_in(&theirs.store, &to("a"), &[], &Options::default(), &()).unwrap().id, two.id);
    assert_eq!(copy_in(&theirs.store, &to("b"), &[], &Options::default(), &()).unwrap().id, two.id);
    let error = copy_in(&theirs.store, &to("c"), &[], &Options::default(), &()).unwrap_err();
    assert!(error.to_string().contains("has no image \"c\"; it has \"b\", \"a\""), "{error}");
}

#[test]
fn other_peoples_directories_are_left_alone() {
    let ours = Fixture::new();
    let image = ours.image(&["one"], &[]);
    let dir = ours.path("home");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("letter"), "dear").unwrap();
    for transport in ["oci", "dir"] {
        let error = copy_out(&ours.store, &image, &place(&at(transport, &dir)), &Options::default(), &()).unwrap_err();
        assert!(error.to_string().contains("neither empty"), "{error}");
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
}
