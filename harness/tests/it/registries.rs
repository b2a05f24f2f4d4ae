//! A registry as a place that images live in: one that asks who is there, and commands that are killed on the way.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    place::{Answer, Place, entries},
    registry::Registry,
};

/// A credential helper by this name which knows one registry, and the `PATH` where it is found. It writes down what it
/// is asked.
fn helper(place: &Place, name: &str, knows: &str) -> (String, PathBuf) {
    let dir = place.dir.path().join("helpers");
    fs::create_dir_all(&dir).unwrap();
    let (program, log) = (dir.join(format!("docker-credential-{name}")), dir.join("asked"));
    let script = format!(
        "#!/bin/sh\nread -r server || :\necho \"$1 $server\" >> {}\nif [ \"$server\" = {knows} ]; then\n\
         echo '{{\"ServerURL\": \"{knows}\", \"Username\": \"me\", \"Secret\": \"secret\"}}'\nelse\n\
         echo 'credentials not found in native keychain'; exit 1\nfi\n",
        log.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()), log)
}

#[test]
fn privileged_credential_helpers_open_registries() {
    let place = Place::new();
    let registry = Registry::with_password(&place);
    let context = place.context(&[("Dockerfile", "FROM tiny\nCOPY file /\n"), ("file", "x")]);
    place.run(&["build", "-q", "--driver", "vfs", "-t", "mine", context.to_str().unwrap()]).ok();
    let name = format!("{}/team/mine:1", registry.address);
    let (path, log) = helper(&place, "test", &registry.address);
    let config = place.dir.path().join("config.json");
    let with = |settings: serde_json::Value, args: &[&str]| {
        fs::write(&config, settings.to_string()).unwrap();
        let mut command = place.command(args);
        command.env("PATH", &path).env("DOCKER_CONFIG", place.dir.path());
        Answer::of(&command.output().unwrap())
    };
    // Nobody who knows, and somebody who knows of others.
    with(serde_json::json!({}), &["push", "-q", "mine", &name]).status_is(1).says("docker login");
    let others = serde_json::json!({"credHelpers": {"example.org": "test"}});
    with(others, &["push", "-q", "mine", &name]).status_is(1).says("docker login");
    assert!(!log.exists(), "the helper of another registry was asked");
    // One of this registry goes before the general one, which fails.
    let own = serde_json::json!({"credHelpers": {&registry.address: "test"}, "credsStore": "not-installed"});
    with(own.clone(), &["push", "-q", "mine", &name]).ok();
    assert_eq!(fs::read_to_string(&log).unwrap().lines().next(), Some(format!("get {}", registry.address).as_str()));
    let store = serde_json::json!({"credsStore": "test"});
    let other = place.dir.path().join("elsewhere");
    let pull = ["pull", "-q", name.as_str(), "--root", other.to_str().unwrap()];
    fs::write(&config, store.to_string()).unwrap();
    let mut command = Command::new(crate::place::program());
    command.args(pull).env("PATH", &path).env("DOCKER_CONFIG", place.dir.path());
    let pulled = Answer::of(&command.output().unwrap()).ok();
    let id = |answer: Answer| answer.ok().out.trim().to_owned();
    assert_eq!(pulled.out.trim(), id(place.run(&["images", "-q", "--no-trunc", "mine"])));
    // Bases of builds, too.
    let context = place.context(&[("Dockerfile", &format!("FROM {name}\nCOPY --from={name} /file /copied\n"))]);
    place.run(&["rmi", &name]);
    with(store, &["build", "-q", "--driver", "vfs", "--pull", context.to_str().unwrap()]).ok();
    // A helper that is not there, and one that fails, are named.
    let missing = serde_json::json!({"credsStore": "not-installed"});
    with(missing, &["pull", "-q", &name]).status_is(1).says("docker-credential-not-installed");
}

/// Layers that do not compress, so that a transfer takes a while.
fn large(place: &Place, name: &str) -> String {
    let context = place.context(&[("Dockerfile", "FROM tiny\nCOPY a /\nCOPY b /\nCOPY c /\n")]);
    for (file, size) in [("a", "24m"), ("b", "16m"), ("c", "40m")] {
        let script = format!("head -c {size} /dev/urandom > {}", context.join(file).display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }
    place.run(&["build", "-q", "--driver", "vfs", "-t", name, context.to_str().unwrap()]).ok().out.trim().to_owned()
}

/// Starts a command again and again, and kills it a little later each time, until one comes to its end. Returns how many
/// were killed.
fn killed(place: &Place, args: &[&str], mut between: impl FnMut()) -> usize {
    let mut delay = Duration::from_millis(4);
    let mut count = 0;
    loop {
        let started = Instant::now();
        let mut child = place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while started.elapsed() < delay {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{args:?}: {status}");
                return count;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        between();
        count += 1;
        delay = delay * 3 / 2;
    }
}

/// Nothing but images: no beginnings of blobs, and nothing for `gc` to take.
fn assert_whole(place: &Place, name: &str) {
    place.run(&["save", "-o", "/dev/null", name]).ok();
    assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
    let images = place.root().join("images");
    let mut names: Vec<_> =
        fs::read_dir(&images).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let staging = names.iter().filter(|name| ["tmp", "partial"].contains(&name.as_str()));
    staging.for_each(|name| assert_eq!(entries(&images.join(name)), 0, "{name} is not empty"));
}

#[test]
fn privileged_pulls_that_are_killed_go_on() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = large(&place, "large:1");
    let name = format!("{}/large:1", registry.address);
    place.run(&["push", "-q", "large:1", &name]).ok();
    let other = Place::new();
    let killed = killed(&other, &["pull", "-q", &name], || {
        // The store opens; there is no image, or all of it where only the last words were cut off.
        let there = other.run(&["images", "-q", "--no-trunc"]).ok().out;
        assert!(there.is_empty() || there.trim() == built, "{there}");
    });
    assert!(killed >= 3, "only {killed} were killed");
    assert_eq!(other.run(&["images", "-q", "--no-trunc"]).ok().out.trim(), built);
    assert_whole(&other, &name);
}

#[test]
fn privileged_pushes_that_are_killed_go_on() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = large(&place, "large:1");
    let name = format!("{}/large:1", registry.address);
    let killed = killed(&place, &["push", "-q", "large:1", &name], || {});
    assert!(killed >= 3, "only {killed} were killed");
    assert_whole(&place, "large:1");
    let other = Place::new();
    assert_eq!(other.run(&["pull", "-q", &name]).ok().out.trim(), built);
    assert_whole(&other, &name);
}
