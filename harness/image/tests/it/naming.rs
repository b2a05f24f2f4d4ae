use harness_image::{Error, Reference, Store};

use crate::support::{Fixture, config};

#[test]
fn an_image_is_found_by_every_name_it_has() {
    let fixture = Fixture::new();
    let image = fixture.image(&["one"], &["tiny", "ghcr.io/me/app:1"]);
    let id = image.id.to_string();
    let pinned = format!("tiny@{}", image.manifest_digest);
    let tagged_and_pinned = format!("tiny:whatever@{}", image.manifest_digest);
    for name in [
        "tiny",
        "tiny:latest",
        "docker.io/library/tiny",
        "ghcr.io/me/app:1",
        &pinned,
        &tagged_and_pinned,
        &id,
        id.strip_prefix("sha256:").unwrap(),
        &image.short_id(),
        &image.short_id()[..4],
        &image.manifest_digest.to_string(),
    ] {
        assert_eq!(fixture.store.resolve(name).unwrap(), image, "{name}");
    }
    let names: Vec<_> = image.references.iter().map(Reference::to_string).collect();
    assert_eq!(names, ["tiny:latest", "ghcr.io/me/app:1"]);
}

#[test]
fn what_is_not_there_is_said_with_what_could_be_meant() {
    let fixture = Fixture::new();
    fixture.image(&["one"], &["tiny"]);
    let error = fixture.store.resolve("tinny").unwrap_err();
    assert_eq!(error.to_string(), "image \"tinny:latest\" does not exist; did you mean tiny:latest?");
    let error = fixture.store.resolve("0123456789ab").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let error = fixture.store.resolve("ghcr.io/x/tiny@sha256:00").unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    let error = fixture.store.resolve("Tiny").unwrap_err();
    assert_eq!(error.to_string(), "invalid image name \"Tiny\": a repository name is lower-case");
}

#[test]
fn an_id_that_fits_several_images_is_refused() {
    let fixture = Fixture::new();
    let mut first_digits = std::collections::HashSet::new();
    let twice = (0..).find_map(|n| {
        let image = fixture.image(&[&n.to_string()], &[]);
        let digit = image.short_id()[..1].to_owned();
        (!first_digits.insert(digit.clone())).then_some(digit)
    });
    let error = fixture.store.resolve(&twice.unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { matches, .. } if matches.len() == 2), "{error}");
}

#[test]
fn a_name_goes_over_to_the_new_image_and_the_old_one_stays_without() {
    let fixture = Fixture::new();
    let old = fixture.image(&["old"], &["app"]);
    let new = fixture.image(&["new"], &["app"]);
    assert_eq!(fixture.store.resolve("app").unwrap().id, new.id);
    let nameless = fixture.store.resolve(&old.id.to_string()).unwrap();
    assert!(nameless.references.is_empty());
    fixture.store.tag(&old.short_id(), &"app:old".parse().unwrap()).unwrap();
    assert_eq!(fixture.names(), ["app:latest", "app:old"]);
    assert_eq!(fixture.store.list().unwrap().len(), 2);
}

#[test]
fn the_same_image_is_the_same_bytes_and_stored_once() {
    let fixture = Fixture::new();
    let mut config = config();
    let mut run = oci_spec::image::Config::default();
    run.set_labels(Some((0..50).map(|n| (format!("label-{n}"), n.to_string())).collect()));
    config.set_config(Some(run));
    let first = fixture.store.put_image(config.clone(), vec![fixture.layer("x")]).unwrap();
    let again: oci_spec::image::ImageConfiguration =
        serde_json::from_slice(&serde_json::to_vec(&config).unwrap()).unwrap();
    let second = fixture.store.put_image(again, vec![fixture.layer("x")]).unwrap();
    assert_eq!(first, second);
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 3);
    assert_eq!(fixture.store.list().unwrap().len(), 1);
}

#[test]
fn another_opening_sees_the_same_images() {
    let fixture = Fixture::new();
    let image = fixture.image(&["one"], &["tiny"]);
    let other = Store::open(fixture.dir.path()).unwrap();
    assert_eq!(other.resolve("tiny").unwrap(), image);
}

#[test]
fn a_digest_cannot_be_given_as_a_name() {
    let fixture = Fixture::new();
    let image = fixture.image(&["one"], &["tiny"]);
    let name = format!("app@{}", image.manifest_digest).parse().unwrap();
    assert!(matches!(fixture.store.tag("tiny", &name), Err(Error::InvalidName { .. })));
}

#[test]
fn history_and_layers_must_agree() {
    use oci_spec::image::HistoryBuilder;
    let fixture = Fixture::new();
    let entry = |text: &str, empty| HistoryBuilder::default().created_by(text).empty_layer(empty).build().unwrap();
    let mut config = config();
    config.set_history(Some(vec![entry("COPY . /", false), entry("CMD sh", true), entry("RUN make", false)]));
    let error = fixture.store.put_image(config.clone(), vec![fixture.layer("a")]).unwrap_err();
    assert!(matches!(error, Error::InvalidImage { .. }), "{error}");
    let image = fixture.store.put_image(config, vec![fixture.layer("a"), fixture.layer("bb")]).unwrap();
    let sizes: Vec<_> = image.history().iter().map(|step| (step.created_by.clone(), step.size().get())).collect();
    assert_eq!(sizes, [("COPY . /".into(), 1), ("CMD sh".into(), 0), ("RUN make".into(), 2)]);
}
