//! A registry as a place that images live in.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use crate::{
    place::{Answer, Place},
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
    with(serde_json::json!({}), &["push", "-q", "mine", &name]).status_is(1).says("harness login");
    let others = serde_json::json!({"credHelpers": {"example.org": "test"}});
    with(others, &["push", "-q", "mine", &name]).status_is(1).says("harness login");
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
