//! Build contexts that are fetched.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use harness_builder::{Access, BuildRequest, Error, ReceivedContext, Secret};

use crate::{
    place::Place,
    remote::{git, repository, tar},
    server::{GitDaemon, Http},
};

crate::tests!(
    privileged_a_context_comes_by_git,
    privileged_a_context_comes_by_http,
    privileged_hostile_contexts_are_refused,
    privileged_fetching_can_be_stopped,
);

static GO_ON: AtomicBool = AtomicBool::new(false);

static NO_SECRETS: BTreeMap<String, Secret> = BTreeMap::new();

fn access(keep_git_dir: bool) -> Access<'static> {
    Access { agent: None, cancel: &GO_ON, keep_git_dir, secrets: &NO_SECRETS }
}

fn fetch(place: &Place, address: &str) -> Result<ReceivedContext, Error> {
    ReceivedContext::from_address(place.layers.store().root(), address, &access(false))
}

fn refused(place: &Place, address: &str) -> String {
    fetch(place, address).expect_err("it was taken").to_string()
}

fn privileged_a_context_comes_by_git() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = repository(dir.path());
    let daemon = GitDaemon::new(dir.path());
    let url = format!("{}/repo.git", daemon.address);
    let place = Place::new("overlay2");
    for (address, content) in [(url.clone(), "two"), (format!("{url}#v1"), "one"), (format!("{url}#{first}"), "one")] {
        let context = fetch(&place, &address).unwrap_or_else(|error| panic!("{error}"));
        let request = BuildRequest {
            context: context.path().to_owned(),
            dockerfile_text: Some(b"FROM scratch\nCOPY . /\n".to_vec()),
            ..place.request()
        };
        let built = place.build_request(&request);
        place.look(&built.image, |root| {
            assert_eq!(fs::read_to_string(root.join("sub/file")).unwrap(), content);
            assert!(!root.join(".git").exists());
        });
        // The repository's link leads to this machine's files.
        assert_eq!(context.file(Path::new("out/hostname")), None);
    }
    let below = fetch(&place, &format!("{url}#main:sub")).unwrap();
    assert_eq!(fs::read_dir(below.path()).unwrap().count(), 1);
    let kept = ReceivedContext::from_address(place.layers.store().root(), &url, &access(true)).unwrap();
    assert!(kept.path().join(".git/HEAD").is_file());
    let asked = fetch(&place, &format!("{url}?tag=v1&keep-git-dir&subdir=/sub&commit={}", &first[..7])).unwrap();
    assert_eq!(fs::read_to_string(asked.path().join("file")).unwrap(), "one");
    drop((below, kept, asked));
    let downloads = place.layers.store().root().join("downloads");
    assert_eq!(fs::read_dir(downloads).unwrap().count(), 0, "contexts go with their builds");
    assert!(refused(&place, &format!("{url}#none")).contains("no branch or tag none"));
    assert!(refused(&place, &format!("{url}?what=x")).contains("the query \"what\"; known are ref"));
    for escape in ["out", "/out", "sub/../out", "sub/file"] {
        let why = refused(&place, &format!("{url}#main:{escape}"));
        assert!(why.starts_with("cannot build from git://"), "{escape}: {why}");
    }
}

fn privileged_a_context_comes_by_http() {
    let dir = tempfile::tempdir().unwrap();
    let dockerfile = b"FROM scratch\nLABEL a=b\n";
    let server =
        Http::new(vec![("/t.tar.gz", "", tar(dir.path(), "-czf", "inside")), ("/any", "", dockerfile.to_vec())]);
    let place = Place::new("vfs");
    let archive = fetch(&place, &format!("{}/t.tar.gz", server.address)).unwrap();
    assert_eq!(fs::read_to_string(archive.path().join("inside")).unwrap(), "inside");
    assert_eq!(archive.dockerfile(), None);
    let text = fetch(&place, &format!("{}/any", server.address)).unwrap();
    assert_eq!(text.dockerfile(), Some(&dockerfile[..]));
    assert_eq!(fs::read_dir(text.path()).unwrap().count(), 0);
    assert!(refused(&place, &format!("{}/none", server.address)).contains("status 404"));
    assert!(refused(&place, "./here").contains("no address"));
}

/// Ten objects that are a tree of ten thousand million files ("git bomb"), and an archive that leads out of the context.
fn privileged_hostile_contexts_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.git");
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "-q"]);
    fs::write(path.join("file"), "boom").unwrap();
    let mut object = git(&path, &["hash-object", "-w", "file"]);
    for depth in 0..10 {
        let kind = if depth == 0 { "100644 blob" } else { "040000 tree" };
        let tree: String = (0..10).map(|number| format!("{kind} {object}\tf{number}\n")).collect();
        fs::write(path.join("tree"), tree).unwrap();
        object = git_with_input(&path, &["mktree"], "tree");
    }
    let commit = git(&path, &["commit-tree", "-m", "bomb", &object]);
    git(&path, &["update-ref", "refs/heads/main", &commit]);
    let daemon = GitDaemon::new(dir.path());
    let place = Place::new("vfs");
    let why = refused(&place, &format!("{}/bomb.git", daemon.address));
    assert!(why.contains("more than 4000000 files"), "{why}");

    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    let archive = dir.path().join("escape.tar");
    let made = std::process::Command::new("sh")
        .args(["-c", "tar -cf escape.tar link && rm link && mkdir link && echo x > link/stolen && tar -rf escape.tar link/stolen"])
        .current_dir(dir.path())
        .status();
    assert!(made.unwrap().success());
    let server = Http::new(vec![("/escape.tar", "", fs::read(archive).unwrap())]);
    let _ = fetch(&place, &format!("{}/escape.tar", server.address));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "the archive led out of the context");
}

/// A shell gives git the file.
fn git_with_input(repository: &Path, args: &[&str], input: &str) -> String {
    let line = format!("git {} < {input}", args.join(" "));
    let output = std::process::Command::new("sh").args(["-c", &line]).current_dir(repository).output().unwrap();
    assert!(output.status.success(), "{line}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn privileged_fetching_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let daemon = GitDaemon::new(dir.path());
    let place = Place::new("vfs");
    let stop = AtomicBool::new(false);
    stop.store(true, Ordering::Relaxed);
    let access = Access { agent: None, cancel: &stop, keep_git_dir: false, secrets: &NO_SECRETS };
    let address = format!("{}/repo.git", daemon.address);
    assert!(ReceivedContext::from_address(place.layers.store().root(), &address, &access).is_err());
}
