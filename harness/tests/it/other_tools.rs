//! Images between this engine and umoci: unpacked to bundles that runc and crun run, and made by umoci to run here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::place::{DRIVERS, Place};

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; install {program}"))
}

fn must(program: &str, args: &[&str]) {
    let output = run(program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

/// What an image says of itself when it runs: who, where, with what, and which files of its layers are left.
const QUESTIONS: &str = "id -u; id -g; pwd; echo $COLOUR; ls -A /data . ; cat /data/kept /data/again; readlink ../link; \
                         stat -c '%a %u %g %n' . /data/twice; stat -c %h /data/twice; exit 7";

const ANSWERS: &str = "1500\n1600\n/data/sub\nblue\n.:\nmine\nnew\n\n/data:\nagain\nkept\nlink\nsub\ntwice\ntwo\nkept\nagain\nkept\n\
                       2750 1500 1600 .\n604 0 0 /data/twice\n2\n";

/// Files that come, go, and come again.
fn dockerfile() -> String {
    format!(
        "FROM host
RUN mkdir -p /data/sub/deep && echo old > /data/old && echo kept > /data/kept && echo x > /data/sub/deep/x && ln -s kept /data/link
RUN echo app:x:1500:1600::/home/app:/bin/sh >> /etc/passwd && echo app:x:1600: >> /etc/group && echo first > /data/again
RUN rm /data/old /data/again && rm -r /data/sub && mkdir /data/sub && echo new > /data/sub/new
RUN echo again > /data/again && echo 2 > /data/twice && ln /data/twice /data/two && chmod 604 /data/twice
RUN chown app:app /data/sub && chmod 2750 /data/sub
ENV COLOUR=blue
USER app
WORKDIR /data/sub
RUN touch mine
ENTRYPOINT [\"sh\", \"-c\"]
CMD [\"{QUESTIONS}\"]
"
    )
}

/// A bundle under a runtime, without a terminal.
fn run_bundle(program: &str, bundle: &Path) -> Output {
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    fs::write(&path, config.to_string()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let id = format!("bundle-{program}-{}", std::process::id());
    let bundle = bundle.to_str().unwrap();
    let args = ["--root", state.path().to_str().unwrap(), "run", "--bundle", bundle, &id];
    // On a host where version 2 of cgroups is mounted beside version 1 crun wants not to see that.
    if program == "crun" && Path::new("/sys/fs/cgroup/unified").exists() {
        let script = "umount /sys/fs/cgroup/unified; exec crun \"$@\"";
        return run("unshare", &[&["--mount", "sh", "-c", script, "crun"][..], &args].concat());
    }
    run(program, &args)
}

#[test]
fn privileged_what_was_built_runs_from_bundles_under_runc_and_crun() {
    let place = Place::new();
    let context = place.context(&[("Dockerfile", &dockerfile())]);
    place.run(&["build", "-q", "--driver", "overlay2", "-t", "many:1", context.to_str().unwrap()]).ok();
    let ours = place.container(&["--rm"], &["many:1"]).status_is(7);
    assert_eq!(ours.out, ANSWERS);
    // Both ways out of the store.
    let (pushed, saved) = (place.dir.path().join("pushed"), place.dir.path().join("saved"));
    place.run(&["push", "-q", "many:1", &format!("oci:{}:one", pushed.display())]).ok();
    let archive = place.dir.path().join("saved.tar");
    place.run(&["save", "--format", "oci", "-o", archive.to_str().unwrap(), "many:1"]).ok();
    fs::create_dir(&saved).unwrap();
    must("tar", &["-xf", archive.to_str().unwrap(), "-C", saved.to_str().unwrap()]);
    for (runtime, image) in
        [("runc", format!("{}:one", pushed.display())), ("crun", format!("{}:many:1", saved.display()))]
    {
        let bundle = place.dir.path().join(runtime);
        must("umoci", &["unpack", "--image", &image, bundle.to_str().unwrap()]);
        let theirs = run_bundle(runtime, &bundle);
        assert_eq!(String::from_utf8_lossy(&theirs.stdout), ANSWERS, "{runtime}: {theirs:?}");
        assert_eq!(theirs.status.code(), Some(7), "{runtime}");
    }
}

/// A layout with one empty image, and its name.
fn umoci_image(place: &Place) -> String {
    let layout = place.dir.path().join("layout");
    must("umoci", &["init", "--layout", layout.to_str().unwrap()]);
    let image = format!("{}:made", layout.display());
    must("umoci", &["new", "--image", &image]);
    image
}

/// Changes an image's files by way of a bundle.
fn repack(place: &Place, image: &str, change: impl FnOnce(&Path)) {
    let bundle: PathBuf = place.dir.path().join("bundle");
    must("umoci", &["unpack", "--image", image, bundle.to_str().unwrap()]);
    change(&bundle.join("rootfs"));
    must("umoci", &["repack", "--image", image, bundle.to_str().unwrap()]);
    fs::remove_dir_all(bundle).unwrap();
}

#[test]
fn privileged_what_umoci_made_runs_here() {
    let place = Place::new();
    let image = umoci_image(&place);
    repack(&place, &image, |root| {
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("data/sub")).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("install busybox-static");
        for name in ["sh", "id", "ls", "cat", "pwd", "stat"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "app:x:1500:1600::/:/bin/sh\n").unwrap();
        fs::write(root.join("data/old"), "old\n").unwrap();
        fs::write(root.join("data/sub/x"), "x\n").unwrap();
    });
    repack(&place, &image, |root| {
        fs::remove_file(root.join("data/old")).unwrap();
        fs::remove_dir_all(root.join("data/sub")).unwrap();
        fs::write(root.join("data/sub"), "a file now\n").unwrap();
        std::os::unix::fs::chown(root.join("data/sub"), Some(1500), Some(1600)).unwrap();
        fs::write(root.join("data/unwanted"), "").unwrap();
    });
    let extra = place.dir.path().join("extra");
    fs::create_dir(&extra).unwrap();
    fs::write(extra.join("inserted"), "inserted\n").unwrap();
    must("umoci", &["insert", "--image", &image, extra.to_str().unwrap(), "/extra"]);
    must("umoci", &["insert", "--image", &image, "--whiteout", "/data/unwanted"]);
    let script =
        "id -u; id -g; pwd; echo $COLOUR; ls -A /data; cat /data/sub /extra/inserted; stat -c '%u %g' /data/sub";
    let config = ["--config.user", "app", "--config.env", "COLOUR=blue", "--config.workingdir", "/data"];
    let words = ["--config.entrypoint", "sh", "--config.entrypoint", "-c", "--config.cmd", script];
    must("umoci", &[&["config", "--image", &image][..], &config, &words].concat());

    let expected = "1500\n1600\n/data\nblue\nsub\na file now\ninserted\n1500 1600\n";
    place.run(&["pull", "-q", "--tag", "made:1", &format!("oci:{image}")]).ok();
    for driver in DRIVERS {
        assert_eq!(place.container(&["--rm", "--driver", driver], &["made:1"]).ok().out, expected, "{driver}");
    }
    // As a base, and as an archive of the layout.
    let context = place.context(&[("Dockerfile", "FROM made:1\nUSER 0\nRUN echo more > /data/more\nUSER app\n")]);
    place.run(&["build", "-q", "--driver", "vfs", "-t", "on-top", context.to_str().unwrap()]).ok();
    let on_top = place.container(&["--rm", "--driver", "vfs"], &["on-top"]).ok();
    assert_eq!(on_top.out, expected.replace("sub\na", "more\nsub\na"));
    let archive = place.dir.path().join("layout.tar");
    let layout = place.dir.path().join("layout");
    must("tar", &["-cf", archive.to_str().unwrap(), "-C", layout.to_str().unwrap(), "."]);
    let other = Place::new();
    other.run(&["load", "-i", archive.to_str().unwrap()]).ok();
    let id = other.run(&["images", "-q"]).ok().out.trim().to_owned();
    assert_eq!(other.container(&["--rm", "--driver", "vfs"], &[&id]).ok().out, expected);
}
