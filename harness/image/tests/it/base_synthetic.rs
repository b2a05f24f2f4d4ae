use harness_image::base::Base;

use crate::support::Fixture;

#[test]
fn images_are_made_once_and_share_their_lowest_layer() {
    let fixture = Fixture::new();
    let make = |name: &str| name.parse::<Base>().unwrap().ensure(&fixture.store).unwrap();
    let slim = make("slim");
    let deep = make("deep-3");
    assert_eq!(deep.layers().len(), 3);
    assert_eq!(deep.layers()[0], slim.layers()[0]);
    assert_eq!(make("deep-3"), deep);
    assert_eq!(make("deep-1").layers(), slim.layers());
    assert_eq!(fixture.names(), ["deep-1:latest", "deep-3:latest", "slim:latest"]);
    let history: Vec<_> = deep.history().into_iter().map(|step| step.created_by).collect();
    assert_eq!(history, ["slim: a distribution", "deep: file 2", "deep: file 3"]);
}

#[test]
fn a_damaged_one_is_made_again() {
    let fixture = Fixture::new();
    let base: Base = "tiny".parse().unwrap();
    let image = base.ensure(&fixture.store).unwrap();
    std::fs::remove_file(fixture.store.blobs().path(&image.id)).unwrap();
    assert_eq!(base.ensure(&fixture.store).unwrap(), image);
    assert!(fixture.store.verify().unwrap().is_empty());
}
