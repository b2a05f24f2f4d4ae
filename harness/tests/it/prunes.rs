//! `prune` and `system df`: what is not used, and what it takes.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::place::{Answer, Place};

/// A place with an image of two names of which one is used, one without a name, a build cache, containers, and volumes.
fn place() -> Place {
    let place = Place::new();
    let build = |content: &str, tag: &str| {
        let context =
            place.context(&[("Dockerfile", "FROM scratch\nCOPY file /\nCMD [\"/none\"]\n"), ("file", content)]);
        place.run(&["build", "-q", "-t", tag, context.to_str().unwrap()]).ok();
    };
    build(&"first".repeat(10_000), "mine");
    build(&"second".repeat(10_000), "mine");
    build("third", "kept");
    place.with_words("create", &["--name", "made", "-v", "/anonymous"], &["kept"]).ok();
    place.with_words("create", &["--name", "labelled", "-l", "stays"], &["kept"]).ok();
    place.container(&["-d", "--name", "runs", "-v", "named:/d"], &["host", "sleep", "100"]).ok();
    place
}

/// Gives an answer on standard input.
fn answered(place: &Place, args: &[&str], answer: &str) -> Answer {
    let mut command: Command = place.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    Answer::of(&child.wait_with_output().unwrap())
}

#[test]
fn privileged_what_is_not_used_goes_when_it_is_asked_for() {
    let place = place();
    let names = |args: &[&str]| place.run(args).ok().out;
    let containers = || names(&["ps", "-a", "--format", "{{.Names}}"]);
    let images = || names(&["images", "--format", "{{.Repository}}"]);

    let df = names(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(df, "Images 4 2\nContainers 3 1\nLocal Volumes 1 1\nBuild Cache 3 0\n");
    let detailed = names(&["system", "df", "-v"]);
    assert!(
        detailed.contains("COPY file /") && detailed.contains("REPOSITORY") && detailed.contains("named"),
        "{detailed}"
    );

    for answer in ["", "n\n", "maybe\n"] {
        answered(&place, &["container", "prune"], answer).status_is(1).says("nothing was removed");
    }
    assert_eq!(containers(), "runs\nlabelled\nmade\n");
    let pruned = answered(&place, &["container", "prune", "--filter", "label!=stays"], "y\n").ok().out;
    assert!(pruned.contains("WARNING!") && pruned.contains("Deleted Containers:\n"), "{pruned}");
    assert!(pruned.contains("\nTotal reclaimed space: "), "{pruned}");
    assert_eq!(containers(), "runs\nlabelled\n");

    let pruned = names(&["image", "prune", "-f"]);
    assert!(pruned.starts_with("Deleted Images:\ndeleted: sha256:"), "{pruned}");
    assert!(pruned.matches("deleted: ").count() == 2, "{pruned}");
    assert_eq!(images(), "host\nkept\nmine\n");
    assert_eq!(names(&["image", "prune", "-af", "--filter", "until=1h"]), "Total reclaimed space: 0B\n");

    // The cache of what has no image any more goes; what `kept` has stays.
    assert_eq!(names(&["builder", "prune", "-f", "--filter", "until=1h"]), "Total reclaimed space: 0B\n");
    let pruned = names(&["system", "prune", "-f", "--filter", "label!=stays"]);
    assert!(pruned.contains("Deleted build cache objects:\n") && !pruned.contains("Deleted Containers"), "{pruned}");
    assert!(!pruned.contains("Total reclaimed space: 0B"), "{pruned}");
    assert_eq!(names(&["system", "df", "--format", "{{.TotalCount}}"]), "3\n2\n1\n2\n");
    let pruned = names(&["builder", "prune", "-af"]);
    assert!(pruned.matches("sha256:").count() == 2, "{pruned}");
    let pruned = names(&["system", "prune", "-af", "--volumes"]);
    assert!(pruned.contains("untagged: mine:latest\n") && pruned.contains("untagged: kept:latest\n"), "{pruned}");
    assert_eq!((images(), containers()), ("host\n".to_owned(), "runs\n".to_owned()));
    assert_eq!(names(&["volume", "ls", "-q"]), "named\n");
    // Nothing of it is left to be found; cgroups are those of other tests.
    let left = names(&["gc"]);
    assert!(!left.contains("layer") && !left.contains("blob") && !left.contains("container"), "{left}");
    place.run(&["system", "prune", "--filter", "colour=red"]).status_is(2).says("colour");
}
