//! Where a build's result goes, and what it tells on the way.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use crate::place::{Answer, Place, program};

const DOCKERFILE: &str = "FROM scratch\nCOPY --chown=5:6 f /dir/f\nENV A=1\n";

fn place() -> Place {
    let place = Place::new();
    place.context(&[("f", "content"), ("Dockerfile", DOCKERFILE)]);
    place
}

fn build(place: &Place, options: &[&str]) -> Answer {
    let context = place.dir.path().join("context");
    place.run(&[&["build", "--driver", "vfs"], options, &[context.to_str().unwrap()]].concat())
}

fn images(place: &Place) -> usize {
    place.run(&["images", "-q"]).ok().out.lines().count()
}

/// The output of another program.
fn other(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install {package}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn privileged_files_go_to_a_directory_or_a_tar() {
    let place = place();
    let out = place.dir.path().join("out");
    build(&place, &["-o", out.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(out.join("dir/f")).unwrap(), "content");
    assert_eq!(fs::metadata(out.join("dir/f")).unwrap().uid(), 0, "they belong to who asked");
    let tar = place.dir.path().join("out.tar");
    build(&place, &["-o", &format!("type=tar,dest={}", tar.display())]).ok();
    let listed = other("tar", "tar", &["--numeric-owner", "-tvf", tar.to_str().unwrap()]);
    assert!(listed.lines().any(|line| line.contains("5/6") && line.ends_with("dir/f")), "{listed}");
    let streamed = build(&place, &["-o", "-"]).ok().out;
    assert!(streamed.contains("ustar") && !streamed.contains("sha256:"), "the archive alone");
    assert_eq!(images(&place), 0, "no image was asked for");
}

#[test]
fn privileged_images_go_to_archives_and_layouts_that_others_read() {
    let place = place();
    let path = |name: &str| place.dir.path().join(name).to_str().unwrap().to_owned();
    let (oci, docker, layout) = (path("oci.tar"), path("docker.tar"), path("layout"));
    let outputs = [
        format!("type=oci,dest={oci}"),
        format!("type=docker,dest={docker}"),
        format!("type=oci,dest={layout},tar=false"),
    ];
    let options: Vec<&str> = outputs.iter().flat_map(|output| ["--output", output]).chain(["-t", "a/b:1"]).collect();
    build(&place, &options).ok();
    for name in [format!("oci-archive:{oci}"), format!("docker-archive:{docker}"), format!("oci:{layout}:1")] {
        let config = other("skopeo", "skopeo", &["inspect", "--config", &name]);
        assert!(config.contains("\"A=1\""), "{name}: {config}");
    }
    let names = other("tar", "tar", &["-xOf", &docker, "manifest.json"]);
    assert!(names.contains("a/b:1"), "{names}");
    assert_eq!(images(&place), 0);
    build(&place, &["-o", "type=image,name=c:2", "-t", "a/b:1"]).ok().says("named c:2");
    assert_eq!(images(&place), 2, "one for each name");
}

#[test]
fn privileged_archives_are_compressed_and_named_as_asked() {
    let place = place();
    let tagged = build(&place, &["-q", "-t", "plain:1"]).ok().out;
    for (compression, end) in [("gzip", "tar+gzip"), ("zstd", "tar+zstd"), ("uncompressed", "v1.tar")] {
        let archive = place.dir.path().join(compression);
        let output =
            format!("type=oci,dest={},name=x.org/named:{compression},compression={compression}", archive.display());
        build(&place, &["-q", "-o", &output]).ok();
        let name = format!("oci-archive:{}:x.org/named:{compression}", archive.display());
        let manifest = other("skopeo", "skopeo", &["inspect", "--raw", &name]);
        assert!(manifest.contains(&format!("{end}\"")), "{compression}: {manifest}");
        // The same image, whose layers unpack to the same.
        let theirs = Place::new();
        assert!(theirs.run(&["load", "-i", archive.to_str().unwrap()]).ok().out.contains("x.org/named"));
        assert_eq!(theirs.run(&["images", "-q", "--no-trunc"]).ok().out, tagged);
    }
    let layout = place.dir.path().join("layout");
    build(&place, &["-q", "-o", &format!("type=oci,dest={},tar=false,name=a:2,compression=gzip", layout.display())])
        .ok();
    assert!(other("skopeo", "skopeo", &["inspect", &format!("oci:{}:2", layout.display())]).contains("linux"));
    build(&place, &["-o", "type=oci,dest=x,compression=lz4"]).status_is(2).says("uncompressed, gzip or zstd");
    assert_eq!(images(&place), 1);
    let left: Vec<_> = fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("harness-packing-")), "{left:?}");
}

#[test]
fn privileged_what_cannot_be_met_is_refused_by_name() {
    let place = place();
    build(&place, &["-o", "type=image,push=true"]).status_is(2).says("no name to push it by");
    build(&place, &["-o", "type=zip,dest=x"]).status_is(2).says("no type \"zip\"");
    build(&place, &["--platform", "linux/s390x"]).status_is(1).says("cannot build for linux/s390x");
    build(&place, &["--platform", "linux"]).ok();
    build(&place, &["--pull"]).ok();
    place.context(&[("Dockerfile", "FROM 127.0.0.1:1/elsewhere:1\n")]);
    build(&place, &["--pull"]).status_is(1).says("127.0.0.1:1");
    build(&place, &["--pull=false"]).status_is(1).says("cannot start from 127.0.0.1:1/elsewhere:1");
}

#[test]
fn privileged_progress_is_plain_quiet_or_for_a_terminal() {
    let place = Place::new();
    let dockerfile = "FROM host AS one\nRUN echo said && printf unfinished\nRUN false\n";
    place.context(&[("Dockerfile", dockerfile)]);
    let plain = build(&place, &["--progress=plain"]).status_is(1);
    for line in ["#1/2 [one] RUN echo said", "\n#1 said\n#1 unfinished\n", "#1 ---> layer of"] {
        assert!(plain.err.contains(line), "{plain:#?}");
    }
    let quiet = build(&place, &["-q"]).status_is(1);
    assert_eq!(quiet.err.lines().count(), 1, "{quiet:#?}");
    assert!(build(&place, &["--progress=plain", "--rm"]).err.contains("#1 ---> from the cache"));
    let mut command = place.command(&["build", "--driver", "vfs"]);
    let of_environment = command.env("BUILDKIT_PROGRESS", "quiet").arg(place.dir.path().join("context")).output();
    assert_eq!(Answer::of(&of_environment.unwrap()).err.lines().count(), 1);
    // script(1) gives it a terminal; what a failed step said is shown in full.
    place.context(&[("Dockerfile", "FROM host\nRUN echo one && echo two && false\n")]);
    let context = place.dir.path().join("context");
    let command =
        format!("{} build --driver vfs --root {} {}", program().display(), place.root().display(), context.display());
    let script = Command::new("script").args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").output();
    let script = script.unwrap_or_else(|error| panic!("script: {error}; install bsdutils"));
    let shown = String::from_utf8_lossy(&script.stdout);
    assert!(shown.contains("one") && shown.contains("two") && shown.contains("ended with status 1"), "{shown}");
    assert_eq!(script.status.code(), Some(1));
}

#[test]
fn privileged_secrets_come_from_the_environment_and_labels_without_values() {
    let place = Place::new();
    let dockerfile = "FROM host\nRUN --mount=type=secret,id=TOKEN test \"$(cat /run/secrets/TOKEN)\" = sesame\n";
    place.context(&[("Dockerfile", dockerfile)]);
    let context = place.dir.path().join("context");
    for secret in ["id=TOKEN", "id=TOKEN,env=TOKEN", "type=env,id=TOKEN"] {
        let arguments = ["build", "--driver", "vfs", "--no-cache", "--secret", secret, "--label", "only-a-name"];
        let mut command = place.command(&arguments);
        let answer = Answer::of(&command.arg(&context).env("TOKEN", "sesame").output().unwrap());
        answer.ok();
    }
    build(&place, &["--secret", "id=TOKEN,src=/none/there"]).status_is(2).says("is not there");
    build(&place, &["--ssh", "default=/etc/hostname"]).status_is(2).says("the socket of an agent");
}
