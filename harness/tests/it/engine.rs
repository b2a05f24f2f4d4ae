//! Images and containers from the command line.

use std::fs;

use crate::place::{DRIVERS, Place, entries};

const DOCKERFILE: &str = "FROM host AS first
ARG WHO=world
ENV GREETING=\"hello ${WHO}\"
WORKDIR /app
COPY --chmod=755 go.sh .
RUN echo \"$GREETING\" > out
FROM first
USER 1000
ENTRYPOINT [\"/app/go.sh\"]
CMD [\"default\"]
";

#[test]
fn privileged_build_run_list_and_remove() {
    for driver in DRIVERS {
        let place = Place::new();
        let go = "#!/bin/sh\necho \"$@\"\ncat /app/out\nid -u\n";
        let context = place.context(&[("Dockerfile", DOCKERFILE), ("go.sh", go)]);
        let context = context.to_str().unwrap();
        let build = |extra: &[&str]| {
            let base = ["build", "--driver", driver, "-t", "my:1", "--build-arg", "WHO=me"];
            place.run(&[&base[..], extra, &[context]].concat()).ok()
        };
        let id = build(&[]).out;
        assert!(id.starts_with("sha256:"), "{id}");
        assert!(build(&[]).err.contains("from the cache"));
        let anew = build(&["--no-cache"]);
        assert!(!anew.err.contains("from the cache"));
        let id = anew.out;

        let ran = place.container(&["--driver", driver, "--name", "one"], &["my:1"]).ok();
        assert_eq!(ran.out, "default\nhello me\n1000\n");
        let ran = place.container(&["--driver", driver, "--rm"], &["my:1", "a", "b"]).ok();
        assert_eq!(ran.out, "a b\nhello me\n1000\n");

        let listed = place.run(&["ps", "-a", "--format", "json"]).ok().out;
        assert!(listed.contains("\"Names\":\"one\"") && listed.contains("\"ExitCode\":0"), "{listed}");
        assert!(place.run(&["history", "my:1"]).ok().out.contains("COPY --chmod=755 go.sh ."));
        let ids = place.run(&["history", "-q", "--no-trunc", "my:1"]).ok().out;
        let ids: Vec<_> = ids.lines().collect();
        assert!(ids.len() > 5 && ids[0] == id.trim() && ids[1..].iter().all(|id| *id == "<missing>"), "{ids:?}");
        let listed = |filter: &str| place.run(&["images", "-a", "--no-trunc", "-q", "-f", filter]).ok().out;
        assert_eq!(listed("reference=m?:*"), id);
        assert!(listed("since=host").contains(&id) && !listed("since=my:1").contains(&id));
        assert!(!listed("before=my:1").contains(&id) && !listed("dangling=true").contains(&id));
        assert_eq!(listed("label=none"), "");
        place.run(&["images", "-f", "refrence=x"]).status_is(2).says("did you mean reference?");
        place.run(&["rmi", "my:1"]).status_is(1).says("container one");
        place.run(&["rm", "one"]).ok();
        assert!(place.run(&["rmi", "my:1"]).ok().out.contains("Untagged: my:1"));
        for image in place.run(&["images", "-q"]).ok().out.lines() {
            place.run(&["rmi", "--force", image]).ok();
        }
        place.run(&["gc", "--cache"]).ok();
        let layers = place.root().join("drivers").join(driver).join("layers");
        assert_eq!(entries(&layers), 0, "layers stay on {driver}");
        assert_eq!(entries(&place.root().join("images/blobs/sha256")), 0, "blobs stay");
    }
}

#[test]
fn privileged_statuses_are_dockers() {
    let place = Place::new();
    let run = |words: &[&str]| place.container(&["--rm"], words);
    run(&["host", "sh", "-c", "exit 7"]).status_is(7);
    // Process 1 cannot kill itself (pid_namespaces(7)); the status of what it ran is passed on.
    run(&["host", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).status_is(137);
    run(&["host", "nosuchprogram"]).status_is(127).says("nosuchprogram");
    run(&["host", "/etc/passwd"]).status_is(126);
    run(&["nosuchimage"]).status_is(125).says("nosuchimage");
    place.container(&["--rm", "--volume", "/x:relative"], &["host", "true"]).status_is(125).says("absolute");
}

#[test]
fn privileged_a_container_is_confined_and_its_options_hold() {
    let place = Place::new();
    let shared = place.dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "from outside").unwrap();
    let volume = format!("{}:/mnt/shared:ro", shared.display());
    let script = "cat /mnt/shared/file; echo; hostname; pwd; echo $COLOUR; \
                  touch /mnt/shared/no 2>/dev/null || echo volume is read-only; \
                  touch /no 2>/dev/null || echo root is read-only; \
                  ls /proc | grep -c '^[0-9]'";
    let options = ["--rm", "--read-only", "--volume", &volume, "--hostname", "box", "-w", "/tmp", "-e", "COLOUR=blue"];
    let ran = place.container(&options, &["host", "sh", "-c", script]).ok();
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(
        lines[..6],
        ["from outside", "box", "/tmp", "blue", "volume is read-only", "root is read-only"],
        "{ran:?}"
    );
    assert!(lines[6].parse::<u32>().unwrap() < 6, "other processes are visible: {ran:?}");
    let limited =
        place.container(&["--rm", "-m", "32m"], &["host", "sh", "-c", "head -c 200m /dev/zero | tail -c 150m | wc -c"]);
    assert_ne!(limited.out.trim(), "157286400", "the memory limit did nothing");
    place
        .container(&["--rm", "--storage-opt", "size=10m"], &["host", "true"])
        .status_is(125)
        .says("limit a layer's size");
}

#[test]
fn privileged_an_image_built_on_one_driver_runs_on_the_other() {
    let place = Place::new();
    let context = place.context(&[(
        "Dockerfile",
        "FROM host\nRUN echo made > /made && rm /etc/os-release\nCMD cat /made; ls /etc/os-release\n",
    )]);
    place.run(&["build", "--driver", "overlay2", "-t", "x", context.to_str().unwrap()]).ok();
    let on_vfs = place.container(&["--driver", "vfs", "--rm"], &["x"]);
    assert_eq!(on_vfs.out, "made\n");
    assert!(on_vfs.err.contains("No such file"), "{on_vfs:?}");
}

#[test]
fn privileged_a_root_file_system_is_imported() {
    let place = Place::new();
    let rootfs = place.dir.path().join("rootfs");
    fs::create_dir_all(rootfs.join("bin")).unwrap();
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("install busybox-static");
    std::os::unix::fs::symlink("busybox", rootfs.join("bin/sh")).unwrap();
    let tar = place.dir.path().join("rootfs.tar.gz");
    let made =
        std::process::Command::new("tar").arg("-czf").arg(&tar).arg("-C").arg(&rootfs).arg(".").status().unwrap();
    assert!(made.success());
    place
        .run(&["import", "--change", "CMD [\"/bin/sh\", \"-c\", \"echo from busybox\"]", tar.to_str().unwrap(), "bb"])
        .ok();
    assert_eq!(place.container(&["--rm"], &["bb"]).ok().out, "from busybox\n");
    for option in ["-cjf", "-cJf"] {
        let tar = place.dir.path().join("other");
        assert!(
            std::process::Command::new("tar")
                .arg(option)
                .arg(&tar)
                .arg("-C")
                .arg(&rootfs)
                .arg(".")
                .status()
                .unwrap()
                .success()
        );
        place.run(&["import", tar.to_str().unwrap(), "other"]).ok();
        assert_eq!(place.container(&["--rm"], &["other", "/bin/sh", "-c", "echo here"]).ok().out, "here\n");
    }
    let half = place.dir.path().join("half.tar.gz");
    let bytes = fs::read(&tar).unwrap();
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    place.run(&["import", half.to_str().unwrap(), "half"]).status_is(1);
    assert!(!place.run(&["images"]).ok().out.contains("half"));
}

#[test]
fn privileged_an_image_is_gone_before_its_layers_are() {
    for driver in DRIVERS {
        let place = Place::new();
        let context = place.context(&[("Dockerfile", "FROM host\nRUN echo x > /x\n")]);
        let build = ["build", "--driver", driver, "--network", "none", "-t", "app", context.to_str().unwrap()];
        place.run(&build).ok();
        // What the cache has, stays.
        place.run(&["gc", "--cache"]).ok();
        let layers = place.root().join("drivers").join(driver).join("layers");
        let (before, answer) = (entries(&layers), place.run(&["rmi", "--no-wait", "app"]).ok());
        assert!(before > 0 && answer.out.contains("Deleted: sha256:"), "{answer:?}");
        let images = place.run(&["images"]).ok().out;
        assert!(!images.contains("app"), "{images}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while entries(&layers) == before {
            assert!(std::time::Instant::now() < deadline, "the layers stay");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // Whoever comes next waits for its turn, and finds nothing that was left.
        place.run(&build).ok();
        let left = place.run(&["gc"]).ok().out;
        assert!(!left.contains("layer"), "{left}");
    }
}
