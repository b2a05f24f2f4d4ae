//! Several images at once: archives of many, all tags of a repository, names and digests; and how images are imported.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{
    place::{Answer, Place, entries},
    registry::Registry,
};

/// The tar of a root file system with one file.
fn tar(place: &Place, content: &str) -> PathBuf {
    let (root, tar) = (place.dir.path().join("rootfs"), place.dir.path().join("rootfs.tar"));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("file"), content).unwrap();
    must("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    tar
}

/// An image for each of these names, in groups: a group's names are one image's.
fn images(place: &Place, groups: &[&[&str]]) {
    for names in groups {
        let tar = tar(place, names[0]);
        let id = place.run(&["import", tar.to_str().unwrap()]).ok().out;
        names.iter().for_each(|name| _ = place.run(&["tag", id.trim(), name]).ok());
    }
}

fn must(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let answer = Answer::of(&output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; install {program}")));
    answer.ok().out
}

/// All names with their ids.
fn named(place: &Place) -> Vec<String> {
    let lines = place.run(&["images", "--no-trunc", "--format", "json"]).ok().out;
    let name = |line: &str| {
        let image: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{}:{} {}", image["Repository"].as_str().unwrap(), image["Tag"].as_str().unwrap(), image["ID"])
    };
    lines.lines().map(name).collect()
}

#[test]
fn privileged_one_archive_holds_many_images() {
    let place = Place::new();
    images(&place, &[&["app:1", "app:2"], &["app:latest", "other.org/x/y:3"], &["alone:1"]]);
    let all = named(&place);
    let archive = |name: &str| place.dir.path().join(name).to_str().unwrap().to_owned();
    for format in ["docker", "oci"] {
        let file = archive(format);
        // A repository stands for all its tags, and what is named twice is there once.
        place.run(&["save", "--format", format, "-o", &file, "app", "app:1", "other.org/x/y:3", "alone:1"]).ok();
        let other = Place::new();
        let loaded = other.run(&["load", "-i", &file]).ok();
        assert_eq!(loaded.out.lines().count(), 5, "{loaded:?}");
        assert_eq!(named(&other), all, "{format}");
        // The same from a stream, twice.
        let mut load = other.command(&["load", "-q"]);
        assert!(load.stdin(fs::File::open(&file).unwrap()).status().unwrap().success());
        assert_eq!(named(&other), all, "{format}");
        assert_eq!(other.run(&["gc"]).ok().out, "nothing was left behind\n");
        // Others find each under its names, and one of two names once.
        let transport = format!("{format}-archive");
        for line in &all {
            let (name, id) = line.split_once(' ').unwrap();
            let config = must("skopeo", &["inspect", "--config", "--raw", &format!("{transport}:{file}:{name}")]);
            assert!(id.contains(&sha256(&config)), "{format} {name}");
        }
    }
    let manifest = must("tar", &["-xOf", &archive("docker"), "manifest.json"]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let tags: Vec<_> = manifest.as_array().unwrap().iter().map(|image| image["RepoTags"].to_string()).collect();
    assert_eq!(tags, [r#"["app:1","app:2"]"#, r#"["app:latest","other.org/x/y:3"]"#, r#"["alone:1"]"#]);
    // By its id an image has no name there.
    let id = place.run(&["images", "-q", "alone"]).ok().out;
    place.run(&["save", "-o", &archive("bare"), id.trim()]).ok();
    let other = Place::new();
    assert!(other.run(&["load", "-i", &archive("bare")]).ok().out.starts_with("Loaded image ID: sha256:"));
    place.run(&["save", "-o", &archive("none"), "app", "missing"]).status_is(1).says("missing");
    assert!(!Path::new(&archive("none")).exists());
}

fn sha256(text: &str) -> String {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Answer::of(&child.wait_with_output().unwrap()).ok().out[..64].to_owned()
}

#[test]
fn privileged_all_tags_of_a_repository_go_and_come() {
    let place = Place::new();
    let registry = Registry::with_password(&place);
    let app = format!("{}/team/app", registry.address);
    let names = ["1", "2", "latest"].map(|tag| format!("{app}:{tag}"));
    images(&place, &[&[&names[0], &names[1]], &[&names[2]], &["app:other"]]);
    let authfile = place.dir.path().join("auth.json");
    let login = ["login", "-u", "me", "-p", "secret", "--authfile", authfile.to_str().unwrap(), &registry.address];
    Answer::of(&Command::new(crate::place::program()).args(login).output().unwrap()).ok();
    let with = |place: &Place, args: &[&str]| place.run(&[args, &["--authfile", authfile.to_str().unwrap()]].concat());
    with(&place, &["push", "-a", &names[0]]).status_is(2).says("without a tag");
    with(&place, &["push", "-a", "nothing"]).status_is(1).says("nothing");
    let pushed = with(&place, &["push", "-q", "--all-tags", &app]).ok();
    assert_eq!((pushed.out.as_str(), pushed.err.as_str()), ("", ""));

    let other = Place::new();
    other.run(&["pull", "-a", &app]).status_is(1).says("harness login");
    with(&other, &["pull", "-a", &names[0]]).status_is(2).says("without a tag");
    with(&other, &["pull", "-a", "oci:x"]).status_is(2).says("a repository of a registry");
    with(&other, &["pull", "-a", "-t", "x", &app]).status_is(2).says("cannot be used with");
    let pulled = with(&other, &["pull", "-q", "--all-tags", &app]).ok();
    assert_eq!(pulled.err, "");
    let ids: Vec<_> = pulled.out.lines().map(str::to_owned).collect();
    assert!(ids.len() == 3 && ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    let expected: Vec<_> = named(&place).into_iter().filter(|line| line.starts_with(&app)).collect();
    assert_eq!(named(&other), expected);
    assert_eq!(other.run(&["gc"]).ok().out, "nothing was left behind\n");
}

#[test]
fn privileged_mirrors_and_platforms_are_chosen_on_the_command_line() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let tar = tar(&place, "x");
    let arm = format!("{}/library/arm:1", registry.address);
    let id = place.run(&["import", "--platform", "linux/arm64", tar.to_str().unwrap(), &arm]).ok().out;
    place.run(&["push", "-q", &arm]).ok();
    let mirror = format!("http://{}", registry.address);
    let other = Place::new();
    let pull = |args: &[&str]| other.run(&[&["pull", "-q", "--mirror", &mirror], args].concat());
    assert_eq!(pull(&["--platform", "linux/arm64/v8", "arm:1"]).ok().out, id);
    assert!(named(&other)[0].starts_with("arm:1 "));
    pull(&["--platform", "linux/s390x", "arm:1"]).status_is(1);
    other.run(&["pull", "--platform", "linux/s390x", &arm]).status_is(1).says("it has \"linux/arm64\"");
    other.run(&["pull", "--platform", "linux/", &arm]).status_is(2).says("OS/ARCHITECTURE");
    // Out of an archive of two, whatever machine this is.
    let platforms = [("s390x", "linux/s390x"), ("ppc64le", "linux/ppc64le")];
    for (name, platform) in platforms {
        place.run(&["import", "--platform", platform, tar.to_str().unwrap(), name]).ok();
    }
    let file = place.dir.path().join("two.tar");
    place.run(&["save", "--format", "oci", "-o", file.to_str().unwrap(), "s390x", "ppc64le"]).ok();
    for (name, platform) in platforms {
        let from = format!("oci-archive:{}", file.display());
        let pulled = other.run(&["pull", "-q", "--platform", platform, "--tag", "taken:1", &from]).ok().out;
        assert_eq!(pulled, place.run(&["images", "-q", "--no-trunc", name]).ok().out);
    }
}

/// Answers each request with a file, whole or cut in half.
fn serve(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            let path = String::from_utf8_lossy(&head[..count]).split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, part) = match path.as_str() {
                "/whole.tar" => ("200 OK", &bytes[..]),
                "/half.tar" => ("200 OK", &bytes[..bytes.len() / 2]),
                _ => ("404 Not Found", &b""[..]),
            };
            let length = if part.is_empty() { 0 } else { bytes.len() };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part));
        }
    });
    address
}

#[test]
fn privileged_root_file_systems_are_imported_from_everywhere() {
    let place = Place::new();
    let tar = tar(&place, "content");
    let address = serve(fs::read(&tar).unwrap());
    let inspect = |image: &str| -> serde_json::Value {
        let told: serde_json::Value = serde_json::from_str(&place.run(&["inspect", image]).ok().out).unwrap();
        told[0].clone()
    };
    // A stream without a name.
    let mut command = place.command(&["import", "--message", "by hand", "-"]);
    let answer = Answer::of(&command.stdin(fs::File::open(&tar).unwrap()).output().unwrap()).ok();
    assert_eq!(answer.out, place.run(&["images", "-q", "--no-trunc", "--filter", "dangling=true"]).ok().out);
    assert!(place.run(&["history", answer.out.trim()]).ok().out.contains("by hand"));
    // An address; what is in it for people alone is not told again.
    let url = format!("http://me:secret@{address}/whole.tar");
    let changes = ["--change", "ENV COLOUR=blue", "-c", "ENTRYPOINT [\"/file\"]", "-c", "USER 7"];
    place.run(&[&["import", "--platform", "linux/arm/v6"][..], &changes, &[&url, "web:1"]].concat()).ok();
    let told = inspect("web:1");
    assert_eq!((&told["Architecture"], &told["Variant"], &told["Os"]), (&"arm".into(), &"v6".into(), &"linux".into()));
    assert_eq!(told["Config"]["Env"][1], "COLOUR=blue");
    assert_eq!((&told["Config"]["User"], &told["Config"]["Entrypoint"][0]), (&"7".into(), &"/file".into()));
    let history = place.run(&["history", "--no-trunc", "web:1"]).ok().out;
    assert!(history.contains(&format!("imported from http://{address}/whole.tar")), "{history}");
    let before = (place.run(&["images", "-aq"]).ok().out, entries(&place.root().join("images/blobs/sha256")));
    for (args, status, why) in [
        (&[format!("http://{address}/none.tar")][..], 1, "/none.tar: the server answered with status 404"),
        (&[format!("http://me:secret@{address}/half.tar")], 1, "cannot import"),
        (&["http://127.0.0.1:1/x".into()], 1, "cannot fetch http://127.0.0.1:1/x"),
        (&["--platform".into(), "windows/amd64".into(), tar.to_str().unwrap().into()], 2, "for linux"),
        (&["--change".into(), "RUN true".into(), tar.to_str().unwrap().into()], 2, "RUN"),
        (&[tar.to_str().unwrap().into(), "Not:A:Name".into()], 2, "Not:A:Name"),
    ] {
        let words: Vec<&str> = std::iter::once("import").chain(args.iter().map(String::as_str)).collect();
        let answer = place.run(&words).status_is(status).says(why);
        assert!(!answer.err.contains("secret") && answer.err.lines().count() < 4, "{answer:?}");
    }
    let after = (place.run(&["images", "-aq"]).ok().out, entries(&place.root().join("images/blobs/sha256")));
    assert_eq!(after, before, "something stays of what was refused");
}

#[test]
fn privileged_images_go_by_name_by_id_and_by_digest() {
    let place = Place::new();
    images(&place, &[&["one:1", "one:2"], &["two:1"]]);
    let digest = |name: &str| {
        let line = place.run(&["images", "--format", "json", name]).ok().out;
        let image: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        image["Digest"].as_str().unwrap().to_owned()
    };
    let (one, two) = (format!("one@{}", digest("one:1")), format!("two:whatever@{}", digest("two:1")));
    place.run(&["tag", &one, "three"]).ok();
    place.run(&["tag", "three", "two:1@sha256:0"]).status_is(2);
    place.run(&["tag", "three", &two]).status_is(2).says("not a digest");
    place.run(&["tag", "missing", "x"]).status_is(1).says("missing");
    // A digest says which image, and not which of its names.
    place.run(&["rmi", &one]).status_is(1).says("one:1");
    place.run(&["rmi", &format!("other@{}", digest("one:1"))]).status_is(1);
    let gone = place.run(&["rmi", &two]).ok().out;
    assert!(gone.starts_with("Untagged: two:1\nDeleted: sha256:"), "{gone}");
    assert_eq!(place.run(&["rmi", "one:1", "three:latest"]).ok().out, "Untagged: one:1\nUntagged: three:latest\n");
    place.run(&["rmi", &one]).ok();
    assert_eq!(place.run(&["images", "-q"]).ok().out, "");
    assert_eq!(entries(&place.root().join("images/blobs/sha256")), 0);
}
