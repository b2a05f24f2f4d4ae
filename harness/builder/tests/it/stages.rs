//! Several stages at a time.

use std::time::Duration;

use harness_builder::{BuildRequest, Error};

use crate::place::{DRIVERS, Place};

crate::tests!(
    privileged_independent_stages_run_side_by_side,
    privileged_one_failure_stops_the_others,
    privileged_stages_share_a_cache,
    privileged_parallel_and_sequential_builds_are_equal,
    privileged_a_stage_named_by_a_variable_is_refused,
);

fn in_parallel(place: &Place, jobs: usize) -> BuildRequest {
    BuildRequest { jobs, ..place.request() }
}

/// Each waits for a file that the other one writes into a cache that both have.
fn privileged_independent_stages_run_side_by_side() {
    let wait = |mine: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c,id=x touch /c/{mine}; for i in $(seq 300); do test -e /c/{other} && exit 0; sleep 0.1; done; exit 1\n"
        )
    };
    let dockerfile = format!(
        "FROM host AS one\n{}RUN echo 1 > /one\nFROM host AS two\n{}RUN echo 2 > /two\nFROM host AS unused\nRUN false\nFROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
        wait("a", "b"),
        wait("b", "a")
    );
    for driver in DRIVERS {
        let place = Place::with_host(driver);
        let outcome = place.try_build(&dockerfile, &in_parallel(&place, 2)).unwrap_or_else(|error| panic!("{error}"));
        let stages: Vec<&str> = outcome.steps.iter().map(|step| step.stage.as_str()).collect();
        assert_eq!(stages, ["one", "one", "two", "two", "3", "3"]);
        let mut indexes: Vec<usize> = outcome.steps.iter().map(|step| step.index).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
        place.look(&outcome.image, |root| assert!(root.join("one").is_file() && root.join("two").is_file()));
    }
}

fn privileged_one_failure_stops_the_others() {
    let place = Place::with_host("overlay2");
    let dockerfile = "FROM host AS slow\nRUN sleep 300\nFROM host AS bad\nRUN sleep 0.5; echo wrong >&2; exit 7\nFROM scratch\nCOPY --from=slow / /\nCOPY --from=bad / /\n";
    let started = std::time::Instant::now();
    let error = place.try_build(dockerfile, &in_parallel(&place, 4)).unwrap_err();
    assert!(matches!(error, Error::Run { status: 7, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60));
    // Only the base is left.
    let writable = |layer: &storage_driver::LayerInfo| layer.state == storage_driver::LayerState::Writable;
    assert!(!place.layers.driver().list().unwrap().iter().any(writable));
}

fn privileged_stages_share_a_cache() {
    let place = Place::with_host("overlay2");
    let mut dockerfile = String::new();
    for number in 0..6 {
        dockerfile.push_str(&format!(
            "FROM host AS s{number}\nRUN --mount=type=cache,target=/c,sharing=locked n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.05; echo $((n + 1)) > /c/n; echo {number} > /done\n"
        ));
    }
    dockerfile.push_str("FROM host\n");
    for number in 0..6 {
        dockerfile.push_str(&format!("COPY --from=s{number} /done /{number}\n"));
    }
    dockerfile.push_str("RUN --mount=type=cache,target=/c,sharing=locked test $(cat /c/n) = 6\n");
    place.try_build(&dockerfile, &in_parallel(&place, 6)).unwrap_or_else(|error| panic!("{error}"));
}

fn privileged_parallel_and_sequential_builds_are_equal() {
    let mut dockerfile = String::new();
    for number in 0..5 {
        dockerfile.push_str(&format!("FROM scratch AS s{number}\nCOPY f /{number}\nENV N={number}\n"));
    }
    dockerfile.push_str("FROM s4\n");
    for number in 0..4 {
        dockerfile.push_str(&format!("COPY --from=s{number} / /all/\n"));
    }
    let layers = |jobs: usize| {
        let place = Place::new("overlay2");
        place.file("f", "content");
        let file = std::fs::File::open(place.context().join("f")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        place
            .try_build(&dockerfile, &in_parallel(&place, jobs))
            .unwrap()
            .image
            .config
            .history()
            .clone()
            .map(|h| h.len())
    };
    assert_eq!(layers(1), layers(8));
}

fn privileged_a_stage_named_by_a_variable_is_refused() {
    let place = Place::new("vfs");
    place.file("f", "");
    let refused = place.refused("FROM scratch AS one\nCOPY f /\nFROM scratch\nARG S=one\nCOPY --from=$S /f /\n");
    assert!(refused.contains("Dockerfile:5:6: a stage cannot be named by a variable"), "{refused}");
}
