//! The same sources give the same image.

use std::{fs, os::unix::fs::MetadataExt, path::Path, thread, time::Duration};

use harness_builder::BuildRequest;

use crate::place::{DRIVERS, Place, cached};

crate::tests!(
    privileged_an_epoch_gives_equal_digests_on_every_driver,
    privileged_without_an_epoch_times_are_kept,
    privileged_a_cached_build_makes_the_same_image,
    privileged_content_counts_and_times_do_not,
    privileged_only_arguments_that_are_used_count,
);

const EPOCH: &str = "1500000000";

const DOCKERFILE: &str = "FROM host AS build
RUN mkdir -p /out/deep && date +%N > /dev/null && echo x > /out/deep/file && ln -s file /out/deep/link
RUN rm /bin/ls; touch -d @1000 /out/old
COPY f /out/
FROM scratch
WORKDIR /made/here
COPY --from=build /out /out
COPY <<E /inline
text
E
ENV A=1
CMD [\"/x\"]
";

fn with_epoch(place: &Place, epoch: &str) -> BuildRequest {
    let mut request = place.request();
    request.build_args.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.to_owned());
    request
}

fn latest(root: &Path) -> i64 {
    let mut all = vec![fs::symlink_metadata(root).unwrap().mtime()];
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        all.push(if found.is_dir() { latest(&entry.path()) } else { found.mtime() });
    }
    all.into_iter().max().unwrap()
}

fn privileged_an_epoch_gives_equal_digests_on_every_driver() {
    let mut ids = Vec::new();
    for driver in DRIVERS.iter().chain(&DRIVERS) {
        let place = Place::with_host(driver);
        place.file("f", "content");
        let outcome = place.try_build(DOCKERFILE, &with_epoch(&place, EPOCH)).unwrap();
        place.look(&outcome.image, |root| {
            assert_eq!(latest(root), 1_500_000_000);
            assert_eq!(fs::metadata(root.join("out/old")).unwrap().mtime(), 1000);
        });
        assert_eq!(outcome.image.config.created().as_deref(), Some("2017-07-14T02:40:00Z"));
        ids.push(outcome.image.manifest_digest);
        thread::sleep(Duration::from_millis(1100));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let place = Place::new("vfs");
    let error = place.try_build("FROM scratch\n", &with_epoch(&place, "yesterday")).unwrap_err();
    assert!(error.to_string().contains("SOURCE_DATE_EPOCH is a number of seconds"), "{error}");
}

fn privileged_without_an_epoch_times_are_kept() {
    let place = Place::new("vfs");
    place.file("f", "content");
    let first = place.build("FROM scratch\nWORKDIR /x\nCOPY f /\n");
    place.look(&first.image, |root| assert!(latest(root) > 1_700_000_000));
    // A step is not taken from a build that held times back.
    let held = place.try_build("FROM scratch\nWORKDIR /x\nCOPY f /\n", &with_epoch(&place, EPOCH)).unwrap();
    assert_eq!(cached(&held), 0);
}

fn privileged_a_cached_build_makes_the_same_image() {
    let place = Place::with_host("overlay2");
    place.file("f", "content");
    let first = place.build(DOCKERFILE);
    thread::sleep(Duration::from_millis(20));
    let second = place.build(DOCKERFILE);
    assert_eq!(first.image.id, second.image.id);
    assert_eq!(cached(&second), 6);
}

fn privileged_content_counts_and_times_do_not() {
    let place = Place::new("overlay2");
    let file = place.file("dir/f", "content");
    let dockerfile = "FROM scratch\nCOPY dir /dir\n";
    place.build(dockerfile);
    fs::File::open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(cached(&place.build(dockerfile)), 1, "a time is no content");
    place.file("dir/f", "CONTENT");
    assert_eq!(cached(&place.build(dockerfile)), 0, "another content of the same size");
    place.file("dir/f", "content");
    assert_eq!(cached(&place.build(dockerfile)), 1, "the first content again");
    fs::rename(place.context().join("dir/f"), place.context().join("dir/g")).unwrap();
    assert_eq!(cached(&place.build(dockerfile)), 0, "another name");
}

fn privileged_only_arguments_that_are_used_count() {
    let place = Place::with_host("overlay2");
    let dockerfile = "FROM host\nRUN echo before > /a\nARG V\nRUN echo after $V > /b\n";
    let build = |value: &str| {
        let mut request = place.request();
        request.build_args.insert("V".to_owned(), value.to_owned());
        cached(&place.try_build(dockerfile, &request).unwrap())
    };
    assert_eq!(build("1"), 0);
    assert_eq!(build("1"), 2);
    assert_eq!(build("2"), 1, "what comes before the ARG stays");
}
