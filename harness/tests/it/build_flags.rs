//! Options of `build` that are docker's: what is told of the result, where it goes, caches elsewhere, what is only asked.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    place::{Answer, Place, entries},
    registry::Registry,
};

const DOCKERFILE: &str = "\
# BASE is what all stands on
ARG BASE=host
# one makes what two takes
FROM ${BASE} AS one
# WORD is said
ARG WORD=hello
RUN echo $WORD > /said
FROM scratch AS two
COPY --from=one /said /taken
COPY file /
";

fn place() -> Place {
    let place = Place::new();
    place.context(&[("file", "content"), ("Dockerfile", DOCKERFILE)]);
    place
}

fn build(place: &Place, options: &[&str]) -> Answer {
    let context = place.dir.path().join("context");
    place.run(&[&["build", "--driver", "vfs", "--network", "none"], options, &[context.to_str().unwrap()]].concat())
}

fn path(place: &Place, name: &str) -> (PathBuf, String) {
    let path = place.dir.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[test]
fn privileged_what_was_built_is_told_in_files() {
    let place = place();
    let ((id, id_text), (metadata, metadata_text)) = (path(&place, "id"), path(&place, "metadata.json"));
    let read = || serde_json::from_slice::<Value>(&fs::read(&metadata).unwrap()).unwrap();
    let told = ["-q", "--iidfile", &id_text, "--metadata-file", &metadata_text];
    let built = build(&place, &[&told[..], &["-t", "a:1", "-t", "b:2"]].concat()).ok();
    assert_eq!(fs::read_to_string(&id).unwrap(), built.out.trim(), "the id alone, without a line's end");
    let about = read();
    assert_eq!(about["containerimage.config.digest"], built.out.trim());
    assert_eq!(about["containerimage.descriptor"]["digest"], about["containerimage.digest"]);
    assert_eq!(about["image.name"], "docker.io/library/a:1,docker.io/library/b:2");
    let manifest = about["containerimage.digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let blob = fs::read(place.root().join("images/blobs/sha256").join(manifest)).unwrap();
    assert_eq!(about["containerimage.descriptor"]["size"], blob.len());
    // Another stage is another image, and has its id there.
    let target = build(&place, &[&told[..], &["--target", "one"]].concat()).ok();
    assert_ne!(target.out, built.out);
    assert_eq!(fs::read_to_string(&id).unwrap(), target.out.trim());
    assert_eq!(build(&place, &["-q", "--target", "", "--platform", ""]).ok().out, built.out, "an empty name is none");
    build(&place, &["--target", "thre"]).status_is(1).says("there is no stage named \"thre\"");
    build(&place, &["--target", "tow"]).status_is(1).says("did you mean two?");
    // Files alone are no image.
    let out = path(&place, "out").1;
    build(&place, &[&told[..], &["-o", &out]].concat()).ok();
    assert_eq!(read(), serde_json::json!({}));
    build(&place, &["-q", "--metadata-file", "/none/there"]).status_is(2).says("cannot write /none/there");
}

#[test]
fn privileged_results_go_to_registries_or_nowhere() {
    let place = place();
    let registry = Registry::start(&place);
    let name = |name: &str| format!("{}/team/{name}", registry.address);
    let (metadata, metadata_text) = path(&place, "metadata.json");
    let images = || place.run(&["images", "-q"]).ok().out.lines().count();
    build(&place, &["-q", "-o", "type=cacheonly", "-t", "a:1"]).ok();
    assert_eq!(images(), 1, "the base, and nothing but the cache of the rest");
    build(&place, &["--push"]).status_is(2).says("no name to push it by");
    let built = build(&place, &["--push", "-t", &name("a:1")]).ok().says("pushing ").says("named ");
    let output = format!("type=registry,name={},compression=gzip", name("b:1"));
    build(&place, &["-q", "--output", &output, "--metadata-file", &metadata_text]).ok();
    assert_eq!(images(), 3, "what is pushed stays here, too");
    let about: Value = serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
    let theirs = Place::new();
    for name in [name("a:1"), name("b:1")] {
        let pulled = theirs.run(&["pull", "-q", &name]).ok();
        assert_eq!(pulled.out.lines().last(), built.out.lines().last(), "{name}: the same image");
    }
    let digest = ["inspect", "--tls-verify=false", "--format={{.Digest}}", &format!("docker://{}", name("b:1"))];
    let digest = Command::new("skopeo").args(digest).output().expect("install skopeo");
    let digest = String::from_utf8(digest.stdout).unwrap();
    assert_eq!(about["containerimage.digest"], digest.trim(), "of what was pushed");
    // What has a fixed digest needs no name, here and there.
    let fixed = format!("{}@{}", name("b:1"), digest.trim());
    theirs.context(&[("Dockerfile", &format!("FROM {fixed}\nCOPY --from={fixed} /file /copied\n"))]);
    build(&theirs, &["-q"]).ok();
    assert_eq!(theirs.run(&["pull", "-q", &fixed]).ok().out.lines().last(), built.out.lines().last());
    let (_, out) = path(&place, "out");
    build(&place, &["-q", "-o", &out, "--load", "-t", "loaded:1"]).ok();
    assert_eq!((images(), entries(out.as_ref())), (4, 2), "both were asked for");
    drop(registry);
    build(&place, &["-q", "--push", "-t", "127.0.0.1:1/x"]).status_is(1).says("127.0.0.1:1");
}

#[test]
fn privileged_attestations_can_only_be_declined() {
    let place = place();
    let declined = ["--provenance=false", "--sbom", "false", "--attest", "type=sbom,disabled=true"];
    build(&place, &[&["-q", "--target", "two"][..], &declined].concat()).ok();
    for (option, value) in
        [("--provenance", "true"), ("--provenance", "mode=max"), ("--sbom", "true"), ("--attest", "type=provenance")]
    {
        build(&place, &[option, value]).status_is(2).says(&format!("{option} {value} cannot be met"));
    }
}

/// Steps of the build that are done again; nothing is asked of the cache that the store itself has.
fn done_again(place: &Place, from: &[&str]) -> usize {
    let theirs = Place::new();
    theirs.context(&[("file", "content"), ("Dockerfile", DOCKERFILE)]);
    let from: Vec<&str> = from.iter().flat_map(|from| ["--cache-from", from]).collect();
    let built = build(&theirs, &from).ok();
    let context = place.dir.path().join("context");
    let ours = place.run(&["build", "-q", "--driver", "vfs", "--network", "none", context.to_str().unwrap()]).ok();
    assert_eq!(theirs.run(&["images", "-q"]).ok().out.lines().count(), 2, "the image and its base, and not the cache");
    let again = 3 - built.err.matches("from the cache").count();
    // Files that are made anew have other times.
    assert_eq!(built.out == ours.out, again < 3, "a cache makes the same image");
    again
}

#[test]
fn privileged_caches_come_from_elsewhere() {
    let place = place();
    let registry = Registry::start(&place);
    let (dir, dir_text) = path(&place, "cache");
    let in_registry = format!("{}/cache:main", registry.address);
    let least = format!("type=local,dest={dir_text},tag=least");
    let all = format!("type=local,dest={dir_text},mode=max,compression=zstd");
    let away = format!("type=registry,ref={in_registry},mode=max");
    build(&place, &["-q", "--cache-to", &least, "--cache-to", &all, "--cache-to", &away]).ok();
    let from = |tag: &str| format!("type=local,src={dir_text}{tag}");
    assert_eq!(done_again(&place, &[&from("")]), 0);
    assert_eq!(done_again(&place, &[&in_registry]), 0);
    assert_eq!(done_again(&place, &[&from(",tag=least")]), 1, "the first stage's layer is not of the image");
    // What cannot be had costs time alone.
    let missing = path(&place, "none").1;
    build(&place, &["-q", "--cache-from", &format!("type=local,src={missing}")]).ok().says("is not used");
    build(&place, &["-q", "--cache-from", &from(",tag=none")]).ok().says("is not used");
    let plain = format!("{}/plain:1", registry.address);
    build(&place, &["-q", "--push", "-t", &plain]).ok();
    build(&place, &["-q", "--cache-from", &plain]).ok().says("it is an image, and no build cache");
    build(&place, &["-q", "--cache-to", "type=local,dest=/proc/none"]).status_is(2).says("/proc/none");
    build(&place, &["-q", "--cache-to", "type=local,dest=/proc/none,ignore-error=true"]).ok().says("was not written");
    for (option, why) in
        [("--cache-to=type=inline", "type=inline is not supported"), ("--cache-from=type=gha", "no type \"gha\"")]
    {
        build(&place, &[option]).status_is(2).says(why);
    }
    // A layer that is not what the cache says is found out.
    for blob in fs::read_dir(dir.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut content = fs::read(&path).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(path, content).unwrap();
    }
    assert_eq!(done_again(&place, &[&from("")]), 3);
}

#[test]
fn privileged_a_dockerfile_can_be_asked() {
    let place = place();
    let ask = |options: &[&str]| build(&place, options).ok().out;
    let targets = "TARGET          DESCRIPTION\none             makes what two takes\ntwo (default)\n";
    assert_eq!(ask(&["--call", "targets"]), targets);
    let outline = "TARGET:        one\nDESCRIPTION:   makes what two takes\n\n\
                   BUILD ARG   VALUE   DESCRIPTION\nBASE        host    is what all stands on\nWORD        bye     is said\n";
    assert_eq!(ask(&["--call=outline", "--target", "one", "--build-arg", "WORD=bye"]), outline);
    assert_eq!(ask(&["--call", "check"]), ask(&["--check"]));
    assert!(ask(&["--call", "build", "-q"]).starts_with("sha256:"));
    build(&place, &["--call", "outline", "--target", "none"]).status_is(1).says("no stage named");
    build(&place, &["--call", "lint"]).status_is(2).says("invalid value 'lint'");
}

#[test]
fn privileged_commands_have_the_limits_that_are_asked_for() {
    let place = Place::new();
    let dockerfile = "FROM host\nRUN grep -q '^10.9.8.7.*db$' /etc/hosts\n\
                      RUN test \"$(ulimit -n) $(df -k /dev/shm | tail -n 1 | awk '{print $2}')\" = '99 4096'\n";
    place.context(&[("Dockerfile", dockerfile)]);
    build(
        &place,
        &[
            "--ulimit",
            "nofile=99",
            "--shm-size",
            "4m",
            "--cgroup-parent",
            "/harness-test-flags",
            "--add-host",
            "db=10.9.8.7",
            "--platform",
            "local",
        ],
    )
    .ok();
    build(&place, &["--ulimit", "nofile"]).status_is(2).says("--ulimit takes");
    build(&place, &["--ulimit", "no=1", "--no-cache"]).status_is(2).says("no");
    build(&place, &["--shm-size", "much"]).status_is(2).says("is no size");
    build(&place, &["--cgroup-parent", "../x", "--no-cache"]).status_is(2).says("without . and ..");
}
