//! Dockerfiles as people write them, built on every driver and by buildah, compared file by file.
//!
//! What differs by design is left out by name in [`by_design`]; `docs/dockerfile.md` tells why.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use harness_builder::{BuildOutcome, BuildRequest};
use serde_json::{Value, json};
use storage_layer::{Manifest, Rules};

use crate::{
    buildah::Buildah,
    place::{Place, drivers},
};

crate::tests!(
    privileged_corpus_python,
    privileged_corpus_node,
    privileged_corpus_go_static,
    privileged_corpus_c_make,
    privileged_corpus_onbuild,
    privileged_corpus_onbuild_stages,
    privileged_corpus_variables,
    privileged_corpus_copies,
    privileged_corpus_changes,
    privileged_corpus_mounts,
    privileged_corpus_old_style,
    privileged_corpus_heredocs,
    privileged_corpus_arguments,
    privileged_corpus_modifiers,
    privileged_corpus_users,
    privileged_corpus_from_images,
    privileged_corpus_ignored,
    privileged_corpus_optional,
    privileged_corpus_modes,
);

/// Base images: the name that Dockerfiles use, and the stage of `bases/Dockerfile` that makes it.
const BASES: [(&str, &str); 6] = [
    ("python:3.12-slim", "python"),
    ("python:3.12-onbuild", "python-onbuild"),
    ("node:20-alpine", "node"),
    ("node:20-onbuild", "node-onbuild"),
    ("golang:1.22", "golang"),
    ("gcc:13", "gcc"),
];

/// The time of all files of the contexts.
const OLD: Duration = Duration::from_secs(1_000_000_000);

fn privileged_corpus_python() {
    compare("python", &["python:3.12-slim"]);
}

fn privileged_corpus_node() {
    compare("node", &["node:20-alpine"]);
}

fn privileged_corpus_go_static() {
    compare("go-static", &["golang:1.22"]);
}

fn privileged_corpus_c_make() {
    compare("c-make", &["gcc:13"]);
}

fn privileged_corpus_onbuild() {
    compare("onbuild", &["python:3.12-onbuild"]);
}

fn privileged_corpus_onbuild_stages() {
    compare("onbuild-stages", &["node:20-onbuild"]);
}

fn privileged_corpus_variables() {
    compare("variables", &[]);
}

fn privileged_corpus_copies() {
    compare("copies", &[]);
}

fn privileged_corpus_changes() {
    compare("changes", &[]);
}

fn privileged_corpus_mounts() {
    compare("mounts", &["python:3.12-slim"]);
}

fn privileged_corpus_old_style() {
    compare("old-style", &[]);
}

/// Debian's buildah knows no heredocs, and no mounts on relative paths; it makes the same of what `Dockerfile.plain` says.
fn privileged_corpus_heredocs() {
    compare("heredocs", &[]);
}

fn privileged_corpus_arguments() {
    compare("arguments", &[]);
}

fn privileged_corpus_modifiers() {
    compare("modifiers", &[]);
}

fn privileged_corpus_users() {
    compare("users", &[]);
}

fn privileged_corpus_from_images() {
    compare("from-images", &["python:3.12-slim", "node:20-alpine", "gcc:13"]);
}

fn privileged_corpus_ignored() {
    compare("ignored", &[]);
}

fn privileged_corpus_optional() {
    compare("optional", &[]);
}

fn privileged_corpus_modes() {
    compare("modes", &[]);
}

/// Builds everywhere and compares.
fn compare(name: &str, bases: &[&str]) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut ours: Option<(Manifest, Value)> = None;
    let drivers = drivers();
    for &driver in &drivers {
        let place = Place::with_host(driver);
        make_bases(&place, bases);
        let context = context(place.dir.path(), name);
        let request = BuildRequest { context: context.clone(), jobs: 2, ..BuildRequest::default() };
        let built = place.build_request(&request);
        let made = (place.look(&built.image, |root| seen(root, started)), config(&built));
        if let Some(before) = &ours {
            let differences = before.0.compare(&made.0, &Rules { ignore_holes: true, ..Rules::default() });
            assert!(differences.is_empty(), "{driver} differs from {}: {}", drivers[0], lines(&differences));
            assert_eq!(before.1, made.1);
            continue;
        }
        let buildah = Buildah::new();
        bases.iter().chain(&["host:latest"]).for_each(|base| buildah.load(place.layers.store().root(), base));
        let plain = context.join("Dockerfile.plain");
        let dockerfile = if plain.exists() { plain } else { context.join("Dockerfile") };
        let root = buildah.build(&context, &dockerfile);
        let theirs = seen(&root, started);
        let rules = Rules { ignore_holes: true, ignore_root: true, ..Rules::default() };
        let mut differences = theirs.compare(&made.0, &rules);
        differences.retain(|found| !by_design(&String::from_utf8_lossy(&found.path), &found.what));
        assert!(differences.is_empty(), "{name}: buildah's files are not ours:\n{}", lines(&differences));
        compare_configs(&buildah.config(), &made.1);
        ours = Some(made);
    }
}

fn lines(differences: &[storage_layer::Difference]) -> String {
    differences.iter().map(|found| format!("  {found}\n")).collect()
}

/// What is known to differ: buildah leaves the places in the image where it bound files and mounts for RUN; here they are
/// taken away again, and the directory keeps its time.
fn by_design(path: &str, what: &str) -> bool {
    match path {
        "etc/hostname" | "etc/resolv.conf" | "root/.cache" => what.starts_with("missing"),
        "etc" | "run" | "root" => what.starts_with("mtime"),
        _ => false,
    }
}

/// A tree; of what the build itself made, the times are all alike.
fn seen(root: &Path, started: u64) -> Manifest {
    let mut manifest = Manifest::scan(root).unwrap();
    let started = i64::try_from(started).unwrap();
    for entry in manifest.entries.values_mut().filter(|entry| entry.mtime.0 >= started) {
        entry.mtime = (started, 0);
    }
    manifest
}

fn config(built: &BuildOutcome) -> Value {
    let image = &built.image;
    let mut config = serde_json::to_value(image.config.config()).unwrap();
    config["OnBuild"] = json!(image.docker.on_build);
    config["Shell"] = json!(image.docker.shell);
    config["Healthcheck"] = serde_json::to_value(&image.docker.healthcheck).unwrap();
    config["Author"] = json!(image.config.author());
    config
}

fn compare_configs(theirs: &Value, ours: &Value) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let fields = [
        "Env",
        "Cmd",
        "Entrypoint",
        "WorkingDir",
        "User",
        "ExposedPorts",
        "Volumes",
        "StopSignal",
        "OnBuild",
        "Shell",
        "Healthcheck",
        "Labels",
    ];
    for field in fields {
        let (mut a, mut b) = (theirs[field].clone(), ours[field].clone());
        if let Value::Object(labels) = &mut a {
            labels.remove("io.buildah.version");
        }
        for all in [&mut a, &mut b] {
            match all {
                // Debian's buildah reads the escape directive and then expands words as if it were not there.
                Value::Array(all) => all.retain(|one| !one.as_str().is_some_and(|text| text.starts_with("path_like="))),
                // docker takes the ports of a range one by one, buildah keeps the range.
                Value::Object(all) => all.retain(|name, _| !name.starts_with("900")),
                _ => {}
            }
        }
        assert!((empty(&a) && empty(&b)) || a == b, "{field}: buildah has {a}, we have {b}");
    }
}

fn make_bases(place: &Place, wanted: &[&str]) {
    // A base stands on others.
    let context = context(place.dir.path(), "bases");
    for (name, target) in BASES.iter().filter(|(name, _)| wanted.contains(name)) {
        let request = BuildRequest {
            context: context.clone(),
            target: Some((*target).to_owned()),
            tags: vec![name.parse().unwrap()],
            ..BuildRequest::default()
        };
        place.build_request(&request);
    }
}

/// A copy of a context with fixed modes and times, and what a repository does not keep.
fn context(dir: &Path, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let context = dir.join(name);
    copy(&source, &context);
    if name == "copies" {
        fs::set_permissions(context.join("two.txt"), Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(context.join("tree/nested/x"), Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(context.join("tree/nested"), Permissions::from_mode(0o710)).unwrap();
        symlink("run.sh", context.join("tree/link")).unwrap();
        symlink("../nowhere", context.join("dangling")).unwrap();
        for (option, archive) in [("-czf", "archive.tar.gz"), ("-cjf", "archive.tar.bz2"), ("-cJf", "archive.tar.xz")] {
            let mut tar = Command::new("tar");
            tar.args(["--owner=11", "--group=12", "--mtime=@900000000", "--sort=name", option]);
            let status = tar.arg(context.join(archive)).arg("-C").arg(&context).args(["tree", "one.txt"]).status();
            assert!(status.unwrap().success(), "install tar, gzip, bzip2 and xz-utils");
        }
    }
    set_times(&context);
    // What a Dockerfile holds itself is as old as the build.
    for entry in fs::read_dir(context.join("plain")).into_iter().flatten() {
        fs::File::open(entry.unwrap().path()).unwrap().set_modified(SystemTime::now()).unwrap();
    }
    context
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
            continue;
        }
        let executable = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
        fs::copy(&path, &target).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(if executable { 0o755 } else { 0o644 })).unwrap();
    }
}

/// Of everything, what is in a directory first.
fn set_times(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    if fs::symlink_metadata(path).unwrap().is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| set_times(&entry.unwrap().path()));
    }
    let time = Timespec { tv_sec: i64::try_from(OLD.as_secs()).unwrap(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
