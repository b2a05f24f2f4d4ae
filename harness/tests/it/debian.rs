//! A real distribution: imported, run, and built upon.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::place::Place;

/// As debootstrap makes it, kept between runs since that takes a minute.
fn debian() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kept = target.join("debian-bookworm-minbase.tar");
    if kept.exists() {
        return kept;
    }
    let work = tempfile::tempdir_in(target).unwrap();
    let (root, made) = (work.path().join("root"), work.path().join("debian.tar"));
    run(Command::new("debootstrap").args(["--variant=minbase", "bookworm"]).arg(&root));
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--xattrs", "--one-file-system", "-C"]).arg(&root).arg("-cf").arg(&made).arg(".");
    run(&mut tar);
    std::fs::rename(&made, &kept).unwrap();
    kept
}

fn run(command: &mut Command) {
    let program = command.get_program().display().to_string();
    let output = command.output().unwrap_or_else(|error| panic!("install {program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
}

#[test]
fn privileged_a_real_debian_is_imported_run_and_built_upon() {
    let place = Place::new();
    place
        .run(&["import", "--change", "CMD [\"cat\", \"/etc/debian_version\"]", debian().to_str().unwrap(), "debian"])
        .ok();
    let version = place.container(&["--rm"], &["debian"]).ok().out;
    assert!(version.starts_with("12."), "{version}");
    let query = ["debian", "dpkg-query", "-W", "-f", "${Status}", "libc6"];
    assert_eq!(place.container(&["--rm"], &query).ok().out, "install ok installed");
    let dockerfile = "FROM debian
RUN useradd --create-home worker && chown -R worker: /home/worker
USER worker
WORKDIR /home/worker
RUN perl -e 'print 6 * 7' > answer && md5sum answer > sums
USER root
RUN dpkg --purge --force-all hostname && dpkg --verify libc6 && ! test -e /bin/hostname
CMD [\"sh\", \"-c\", \"md5sum -c /home/worker/sums && cat /home/worker/answer\"]
";
    let context = place.context(&[("Dockerfile", dockerfile)]);
    place.run(&["build", "-t", "built", context.to_str().unwrap()]).ok();
    assert_eq!(place.container(&["--rm", "-w", "/home/worker"], &["built"]).ok().out, "answer: OK\n42");
}
