//! ADD from the network.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use harness_builder::{BuildRequest, Secret};
use harness_image::Digest;

use crate::{
    place::{DRIVERS, Place, cached},
    server::{GitDaemon, Http},
};

crate::tests!(
    privileged_a_file_comes_by_http_as_buildkit_makes_it,
    privileged_a_wrong_or_broken_answer_is_refused,
    privileged_a_checksum_needs_no_network_the_second_time,
    privileged_archives_from_elsewhere_are_unpacked_when_asked,
    privileged_archives_of_all_kinds_are_unpacked,
    privileged_a_repository_comes_by_git,
    privileged_a_repository_leads_nowhere_else,
    privileged_servers_are_told_who_asks,
);

fn privileged_a_file_comes_by_http_as_buildkit_makes_it() {
    let date = "Content-Length: 5\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let server =
        Http::new(vec![("/a/file.txt?v=1", date, b"hello".to_vec()), ("/old", "Content-Length: 0\r\n", Vec::new())]);
    for driver in DRIVERS {
        let place = Place::new(driver);
        let dockerfile = format!(
            "FROM scratch\nADD {0}/a/file.txt?v=1 /dir/\nADD {0}/a/file.txt?v=1 /named\nADD --chmod=755 --chown=3:4 {0}/old /tool\n",
            server.address
        );
        let image = place.build(&dockerfile).image;
        place.look(&image, |root| {
            for name in ["dir/file.txt", "named"] {
                assert_eq!(fs::read_to_string(root.join(name)).unwrap(), "hello");
                let found = fs::metadata(root.join(name)).unwrap();
                assert_eq!((found.mode() & 0o7777, found.mtime(), found.uid()), (0o600, 784_111_777, 0), "{name}");
            }
            let tool = fs::metadata(root.join("tool")).unwrap();
            assert_eq!((tool.mode() & 0o7777, tool.mtime(), tool.uid(), tool.gid()), (0o755, 0, 3, 4));
        });
        assert_eq!(cached(&place.build(&dockerfile)), 3, "the same content is the same step");
        assert!(!place.layers.store().root().join("downloads").read_dir().unwrap().any(|_| true));
    }
}

fn privileged_a_wrong_or_broken_answer_is_refused() {
    let cut = "Content-Length: 50\r\n";
    let server = Http::new(vec![("/x", "Content-Length: 1\r\n", b"x".to_vec()), ("/cut", cut, b"short".to_vec())]);
    let place = Place::new("vfs");
    let refused =
        |flags: &str, path: &str| place.refused(&format!("FROM scratch\nADD {flags} {}{path} /y\n", server.address));
    assert!(refused("", "/none").contains("status 404"));
    assert!(refused("", "/cut").contains("cannot fetch"), "{}", refused("", "/cut"));
    let wrong = format!("--checksum={}", Digest::of(b"y"));
    assert!(refused(&wrong, "/x").contains("it has the digest"));
    assert!(refused("--checksum=sha256:12", "/x").contains("64 hexadecimal digits"));
    assert!(refused("--keep-git-dir", "/x").contains("git repositories only"));
    let copy = place.refused(&format!("FROM scratch\nCOPY {}/x /\n", server.address));
    assert!(copy.contains("Dockerfile:2:6: COPY takes files of the build context"), "{copy}");
    let caret = refused("", "/none");
    assert!(caret.lines().last().unwrap().contains("^^^^"), "{caret}");
    // No server at all.
    drop(server);
    assert!(place.refused("FROM scratch\nADD http://127.0.0.1:1/x /y\n").contains("cannot fetch http://127.0.0.1:1/x"));
}

fn privileged_a_checksum_needs_no_network_the_second_time() {
    let server = Http::new(vec![("/x", "Content-Length: 1\r\n", b"x".to_vec())]);
    let place = Place::new("vfs");
    let dockerfile = format!("FROM scratch\nADD --checksum={} {}/x /y\n", Digest::of(b"x"), server.address);
    assert_eq!(cached(&place.build(&dockerfile)), 0);
    assert_eq!(server.asked(), 1);
    assert_eq!(cached(&place.build(&dockerfile)), 1);
    assert_eq!(server.asked(), 1);
}

/// A tar of one file, made by another program.
pub fn tar(dir: &Path, option: &str, name: &str) -> Vec<u8> {
    let path = dir.join("made.tar");
    fs::write(dir.join(name), name).unwrap();
    let status = Command::new("tar").arg(option).arg(&path).arg("-C").arg(dir).arg(name).status().unwrap();
    assert!(status.success(), "install tar, gzip, bzip2, xz-utils and zstd");
    fs::read(path).unwrap()
}

fn privileged_archives_from_elsewhere_are_unpacked_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Http::new(vec![("/t.tgz", "", tar(dir.path(), "-czf", "inside"))]);
    let place = Place::new("overlay2");
    let dockerfile =
        format!("FROM scratch\nADD {0}/t.tgz /as-it-is/\nADD --unpack {0}/t.tgz /unpacked/\n", server.address);
    let image = place.build(&dockerfile).image;
    place.look(&image, |root| {
        assert!(root.join("as-it-is/t.tgz").is_file());
        assert_eq!(fs::read_to_string(root.join("unpacked/inside")).unwrap(), "inside");
    });
}

fn privileged_archives_of_all_kinds_are_unpacked() {
    for driver in DRIVERS {
        let place = Place::new(driver);
        let dir = tempfile::tempdir().unwrap();
        let mut dockerfile = "FROM scratch\n".to_owned();
        for (option, name) in [("-cf", "plain"), ("-czf", "gzip"), ("-cjf", "bzip2"), ("-cJf", "xz")] {
            place.file(&format!("{name}.any"), tar(dir.path(), option, name));
            dockerfile.push_str(&format!("ADD {name}.any /all/\nCOPY {name}.any /kept/\n"));
        }
        let image = place.build(&dockerfile).image;
        place.look(&image, |root| {
            for name in ["plain", "gzip", "bzip2", "xz"] {
                assert_eq!(fs::read_to_string(root.join("all").join(name)).unwrap(), name);
                assert!(root.join(format!("kept/{name}.any")).is_file());
            }
        });
    }
}

/// Runs git in a repository with a fixed author and time.
pub fn git(repository: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "init.defaultBranch=main", "-c", "user.name=A", "-c", "user.email=a@example.org"]);
    command.args(["-c", "protocol.file.allow=always"]).args(args).current_dir(repository);
    command.env("GIT_AUTHOR_DATE", "1000000000 +0000").env("GIT_COMMITTER_DATE", "1000000000 +0000");
    let output = command.output().expect("install git");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two commits: `v1` and `refs/pull/1/head` have the first, `main` the second.
pub fn repository(dir: &Path) -> (String, String) {
    let path = dir.join("repo.git");
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "-q"]);
    fs::create_dir(path.join("sub")).unwrap();
    fs::write(path.join("sub/file"), "one").unwrap();
    fs::write(path.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc", path.join("out")).unwrap();
    git(&path, &["add", "."]);
    git(&path, &["commit", "-qm", "one"]);
    git(&path, &["tag", "-am", "first", "v1"]);
    let first = git(&path, &["rev-parse", "HEAD"]);
    git(&path, &["update-ref", "refs/pull/1/head", &first]);
    fs::write(path.join("sub/file"), "two").unwrap();
    git(&path, &["commit", "-qam", "two"]);
    (first, git(&path, &["rev-parse", "HEAD"]))
}

fn privileged_a_repository_comes_by_git() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = repository(dir.path());
    let daemon = GitDaemon::new(dir.path());
    let url = format!("{}/repo.git", daemon.address);
    for driver in DRIVERS {
        let place = Place::new(driver);
        let dockerfile = format!(
            "FROM scratch\nADD {url} /head\nADD {url}?tag=v1 /tag/\nADD {url}#{first}:sub /sub\n\
             ADD {url}?branch=main&keep-git-dir=1 /kept\nADD --checksum={second} {url}#main /checked\n\
             ADD {url}?ref=pull/1/head&commit={first}&subdir=sub /pulled\n"
        );
        let image = place.build(&dockerfile).image;
        place.look(&image, |root| {
            let file = |name: &str| fs::read_to_string(root.join(name)).unwrap();
            assert_eq!(
                (file("head/sub/file"), file("tag/sub/file"), file("sub/file")),
                ("two".into(), "one".into(), "one".into())
            );
            assert!(root.join("kept/.git/HEAD").is_file() && !root.join("head/.git").exists());
            assert!(root.join("checked/run.sh").is_file());
            assert_eq!(file("pulled/file"), "one");
            let script = fs::metadata(root.join("head/run.sh")).unwrap();
            assert_eq!((script.mode() & 0o7777, script.mtime(), script.uid()), (0o755, 1_000_000_000, 0));
            let file = fs::metadata(root.join("head/sub/file")).unwrap();
            assert_eq!(file.mode() & 0o7777, 0o644);
        });
        assert_eq!(cached(&place.build(&dockerfile)), 6);
    }
    let place = Place::new("vfs");
    let refused = |flags: &str, what: &str| place.refused(&format!("FROM scratch\nADD {flags} {url}{what} /x\n"));
    assert!(refused("", "#nosuch").contains("no branch or tag nosuch"));
    assert!(refused("", "#--upload-pack=x").contains("is no branch, tag or commit"));
    assert!(refused("", "#main:nosuch").contains("nosuch"));
    assert!(refused("", "#main:run.sh").contains("is no directory"));
    assert!(refused("", &format!("#{}", "0".repeat(40))).contains("cannot fetch"));
    assert!(refused(&format!("--checksum={first}"), "#main").contains(&format!("it is commit {second}")));
    assert!(refused("--checksum=v1", "#main").contains("--checksum: a commit is told by its hexadecimal digits"));
    assert!(refused("", &format!("?branch=main&commit={}", &first[..10])).contains(&format!("it is commit {second}")));
    assert!(refused("--checksum=ab", "?commit=cd").contains("it is to be commit cd, and to be ab"));
    assert!(refused("--keep-git-dir=false", "?keep-git-dir=true").contains("says something else than keep-git-dir"));
    assert!(refused("", "?branch=v1").contains("no branch or tag refs/heads/v1"));
    let unknown = refused("", "?depth=1");
    assert!(
        unknown.contains("Dockerfile:2:6: cannot fetch git://") && unknown.contains("query \"depth\""),
        "{unknown}"
    );
    assert!(refused(&format!("--checksum={}", &first[..10]), "#main").contains(&format!("it is commit {second}")));
    place.build(&format!("FROM scratch\nADD --checksum={} {url}#main /x\n", &second[..10]));
}

/// Neither by a link in it nor by a submodule.
fn privileged_a_repository_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let outside = tempfile::tempdir().unwrap();
    repository(outside.path());
    let path = dir.path().join("repo.git");
    let secret = outside.path().join("repo.git");
    let daemon = GitDaemon::new(dir.path());
    let place = Place::new("vfs");
    let url = format!("{}/repo.git", daemon.address);
    assert!(place.refused(&format!("FROM scratch\nADD {url}#main:out /x\n")).contains("cannot fetch"));
    git(&path, &["submodule", "--quiet", "add", secret.to_str().unwrap(), "stolen"]);
    git(&path, &["commit", "-qm", "submodule"]);
    let refused = place.refused(&format!("FROM scratch\nADD {url} /x\n"));
    assert!(refused.contains("git submodule"), "{refused}");
    let image = place.build(&format!("FROM scratch\nADD {url}?submodules=false /x\n")).image;
    place.look(&image, |root| assert_eq!(fs::read_dir(root.join("x/stolen")).unwrap().count(), 0));
}

/// By secrets of the build, and no other server than that of the address.
fn privileged_servers_are_told_who_asks() {
    let other = Http::new(vec![("/x", "Content-Length: 1\r\n", b"x".to_vec())]);
    let server = Http::new(vec![("/x", "Content-Length: 1\r\n", b"x".to_vec())]);
    let host = server.address.trim_start_matches("http://");
    let place = Place::new("vfs");
    let secrets = [(format!("HTTP_AUTH_TOKEN_{host}"), "t"), ("GIT_AUTH_TOKEN".to_owned(), "p")];
    let secrets = secrets.map(|(id, value)| (id, Secret::Value(value.into()))).into();
    let request = BuildRequest { secrets, ..place.request() };
    let add = |address: &str, path: &str| place.try_build(&format!("FROM scratch\nADD {address}{path} /y\n"), &request);
    add(&server.address, "/x").unwrap();
    assert_eq!(server.told().as_deref(), Some("Bearer t"));
    add(&other.address, "/x").unwrap();
    assert_eq!(other.told(), None);
    let error = add(&server.address, "/r.git").unwrap_err().to_string();
    assert!(error.contains("git ls-remote"), "{error}");
    assert_eq!(server.told().as_deref(), Some("Basic eC1hY2Nlc3MtdG9rZW46cA=="));
}
