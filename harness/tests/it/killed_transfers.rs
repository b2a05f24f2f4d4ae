//! kill -9 of what moves images, a little later each time: the store is whole at every moment, and the same command
//! again comes to its end.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    place::{Place, entries},
    registry::Registry,
};

/// Layers that do not compress, so that a transfer takes a while.
fn large(place: &Place, name: &str) -> String {
    let context = place.context(&[("Dockerfile", "FROM host\nCOPY a /\nCOPY b /\nCOPY c /\n")]);
    for (file, size) in [("a", "24m"), ("b", "16m"), ("c", "40m")] {
        noise(&context.join(file), size);
    }
    place.run(&["build", "-q", "--driver", "vfs", "-t", name, context.to_str().unwrap()]).ok().out.trim().to_owned()
}

fn noise(path: &Path, size: &str) {
    let script = format!("head -c {size} /dev/urandom > {}", path.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// Starts a command again and again, and kills it a little later each time, until one comes to its end.
fn killed(place: &Place, args: &[&str], mut between: impl FnMut()) {
    let mut delay = Duration::from_millis(4);
    let mut count = 0;
    loop {
        let started = Instant::now();
        let mut child = place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while started.elapsed() < delay {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{args:?}: {status}");
                assert!(count >= 3, "only {count} were killed: {args:?}");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        between();
        count += 1;
        delay *= 2;
    }
}

/// The store opens; there is no image, or all of it where only the last words were cut off.
fn none_or_all(place: &Place, built: &str) {
    let there = place.run(&["images", "-q", "--no-trunc"]).ok().out;
    assert!(there.is_empty() || there.trim() == built, "{there}");
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
    killed(&other, &["pull", "-q", &name], || {
        none_or_all(&other, &built);
    });
    assert_eq!(other.run(&["images", "-q", "--no-trunc"]).ok().out.trim(), built);
    assert_whole(&other, &name);
}

#[test]
fn privileged_pushes_that_are_killed_go_on() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let built = large(&place, "large:1");
    let name = format!("{}/large:1", registry.address);
    killed(&place, &["push", "-q", "large:1", &name], || {});
    assert_whole(&place, "large:1");
    let other = Place::new();
    assert_eq!(other.run(&["pull", "-q", &name]).ok().out.trim(), built);
    assert_whole(&other, &name);
}

/// Where each attempt makes documents of its own, those of the killed ones are named by nothing: the first `gc` takes them.
fn assert_swept(place: &Place, name: &str) {
    let gone = place.run(&["gc"]).ok().out;
    assert!(gone.lines().all(|line| line.starts_with("removed blob: ") || line == "nothing was left behind"), "{gone}");
    assert_whole(place, name);
}

/// With its last image a store has nothing any more.
fn assert_empties(place: &Place, drivers: &[&str]) {
    for image in place.run(&["images", "-q"]).ok().out.lines() {
        place.run(&["rmi", "--force", image]).ok();
    }
    place.run(&["gc", "--cache"]).ok();
    assert_eq!(entries(&place.root().join("images/blobs/sha256")), 0, "blobs stay");
    for driver in drivers {
        assert_eq!(entries(&place.root().join("drivers").join(driver).join("layers")), 0, "layers stay on {driver}");
    }
}

#[test]
fn privileged_loads_that_are_killed_leave_no_half_of_an_image() {
    let place = Place::new();
    let built = large(&place, "large:1");
    let archive = place.dir.path().join("archive.tar");
    let archive = archive.to_str().unwrap();
    place.run(&["save", "-o", archive, "large:1"]).ok();
    for driver in [None, Some("vfs"), Some("overlay2")] {
        let other = Place::new();
        let onto = driver.map_or_else(Vec::new, |driver| vec!["--driver", driver]);
        killed(&other, &[&["load", "-q", "-i", archive][..], &onto].concat(), || none_or_all(&other, &built));
        assert_whole(&other, "large:1");
        let driver = driver.unwrap_or("vfs");
        other.container(&["--driver", driver, "--rm"], &["large:1", "sh", "-c", "test $(wc -c < /c) = 41943040"]).ok();
        assert_empties(&other, &[driver]);
    }
}

#[test]
fn privileged_imports_that_are_killed_leave_no_half_of_an_image() {
    let place = Place::new();
    let root = place.dir.path().join("rootfs");
    fs::create_dir(&root).unwrap();
    noise(&root.join("noise"), "48m");
    let tar = place.dir.path().join("rootfs.tar");
    let tar = tar.to_str().unwrap();
    assert!(Command::new("tar").args(["-C", root.to_str().unwrap(), "-cf", tar, "."]).status().unwrap().success());
    killed(&place, &["import", tar, "imported:1"], || {
        // The image holds the time of its making, so that each is another one.
        let there = place.run(&["images", "-q"]).ok().out;
        assert!(there.lines().count() <= 1, "{there}");
        there.lines().for_each(|image| _ = place.run(&["rmi", image]).ok());
    });
    assert_swept(&place, "imported:1");
    assert_empties(&place, &[]);
}

#[test]
fn privileged_saves_that_are_killed_leave_the_file_as_it_was() {
    let place = Place::new();
    let built = large(&place, "large:1");
    let dir = place.dir.path().join("archives");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("archive.tar");
    for more in [&[][..], &["--format", "oci", "--compression", "zstd"]] {
        fs::write(&file, "old").unwrap();
        killed(&place, &[&["save", "-o", file.to_str().unwrap()], more, &["large:1"]].concat(), || {
            let now = fs::metadata(&file).unwrap().len();
            assert!(now == 3 || now > 80_000_000, "{now} bytes of an archive");
            assert_eq!(entries(&dir), 1, "something else is there");
        });
        let left = place.run(&["gc"]).ok().out;
        assert_eq!(left.contains("harness-packing-"), !more.is_empty(), "{left}");
        assert_whole(&place, "large:1");
        let other = Place::new();
        other.run(&["load", "-q", "-i", file.to_str().unwrap()]).ok();
        assert_eq!(other.run(&["images", "-q", "--no-trunc"]).ok().out.trim(), built);
    }
}

#[test]
fn privileged_commits_that_are_killed_leave_no_half_of_an_image() {
    let place = Place::new();
    for driver in ["vfs", "overlay2"] {
        let script = "head -c 48m /dev/urandom > /noise; rm /bin/cat";
        place.container(&["--driver", driver, "--name", driver], &["host", "sh", "-c", script]).ok();
        let images = place.run(&["images", "-q"]).ok().out.lines().count();
        killed(&place, &["commit", driver, "committed:1"], || {
            let there = place.run(&["images", "-q"]).ok().out.lines().count();
            assert!(there <= images + 1, "{there} images");
            // The container is as it was.
            let changes = place.run(&["diff", driver]).ok().out;
            assert!(changes.contains("A /noise\n") && changes.contains("/bin/cat\n"), "{changes}");
            if there > images {
                place.run(&["rmi", "committed:1"]).ok();
            }
        });
        assert_swept(&place, "committed:1");
        place.run(&["rm", driver]).ok();
        let again = ["committed:1", "sh", "-c", "test ! -e /bin/cat && test $(wc -c < /noise) = 50331648"];
        place.container(&["--driver", driver, "--rm"], &again).ok();
        place.run(&["rmi", "committed:1"]).ok();
    }
    assert_empties(&place, &["vfs", "overlay2"]);
}

/// A running container is frozen for as long as the commit reads it, and not longer, however that ends.
#[test]
fn privileged_a_commit_that_is_killed_leaves_no_container_frozen() {
    let place = Place::new();
    let script = "head -c 32m /dev/urandom > /noise; echo ready; exec sleep 1000";
    place.container(&["-d", "--driver", "vfs", "--name", "runs"], &["host", "sh", "-c", script]).ok();
    let state = || {
        let told: serde_json::Value = serde_json::from_str(&place.run(&["inspect", "runs"]).ok().out).unwrap();
        told[0]["State"]["Status"].as_str().unwrap().to_owned()
    };
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    until("it does not start", &|| place.run(&["logs", "runs"]).ok().out == "ready\n");
    let mut commit = place.command(&["commit", "runs"]).stdout(Stdio::null()).spawn().unwrap();
    until("it is not frozen", &|| state() == "paused");
    commit.kill().unwrap();
    commit.wait().unwrap();
    until("it stays frozen", &|| state() == "running");
    place.run(&["commit", "runs", "committed:1"]).ok();
    assert_eq!(state(), "running");
    place.run(&["rm", "-f", "runs"]).ok();
    assert_whole(&place, "committed:1");
}
