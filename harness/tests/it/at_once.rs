//! Several processes at work on one data directory at the same time.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::place::{DRIVERS, Place};

/// So long all of them go on.
const TIME: Duration = Duration::from_secs(8);

/// Answers of a command that found nothing to do: another one was faster.
fn done_or_gone(answer: &crate::place::Answer) {
    let gone = answer.status == 1 && answer.err.contains("does not exist");
    assert!(answer.status == 0 || gone, "{answer:#?}");
}

#[test]
fn privileged_processes_on_one_store_lose_and_damage_nothing() {
    let place = Place::new();
    let archive = {
        let other = Place::new();
        let context = other.context(&[("Dockerfile", "FROM tiny\nCOPY file /loaded\n"), ("file", "from afar")]);
        other.run(&["build", "-q", "--driver", "vfs", "-t", "loaded:1", context.to_str().unwrap()]).ok();
        let archive = place.dir.path().join("archive.tar");
        other.run(&["save", "-o", archive.to_str().unwrap(), "loaded:1"]).ok();
        archive
    };
    let contexts = [0, 1].map(|number| {
        let context = place.dir.path().join(format!("context-{number}"));
        fs::create_dir(&context).unwrap();
        context
    });
    place.container(&["--rm", "--driver", "vfs"], &["host", "true"]).ok();
    let end = Instant::now() + TIME;
    let rounds = AtomicUsize::new(0);
    let repeat = |work: &dyn Fn(usize)| {
        let mut round = 0;
        while Instant::now() < end {
            work(round);
            round += 1;
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let (place, repeat) = (&place, &repeat);
        for (context, driver) in contexts.iter().zip(DRIVERS) {
            scope.spawn(move || {
                repeat(&|round| {
                    let dockerfile = format!("FROM host\nRUN echo shared > /shared\nRUN echo {round} > /{driver}\n");
                    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
                    let tag = format!("built-{driver}:{}", round % 3);
                    place.run(&["build", "-q", "--driver", driver, "-t", &tag, context.to_str().unwrap()]).ok();
                });
            });
        }
        scope.spawn(move || {
            repeat(&|_| {
                place.run(&["load", "-q", "-i", archive.to_str().unwrap()]).ok();
            });
        });
        scope.spawn(move || {
            repeat(&|round| {
                done_or_gone(&place.run(&["tag", "loaded:1", &format!("also:{}", round % 5)]));
                done_or_gone(&place.run(&["tag", "built-vfs:0", &format!("also:{}", (round + 2) % 5)]));
            });
        });
        scope.spawn(move || {
            repeat(&|round| {
                done_or_gone(&place.run(&["rmi", &format!("also:{}", round % 5)]));
                done_or_gone(&place.run(&["rmi", "loaded:1"]));
                done_or_gone(&place.run(&["rmi", &format!("built-overlay2:{}", round % 3)]));
            });
        });
        scope.spawn(move || {
            repeat(&|_| {
                place.run(&["images"]).ok();
                place.run(&["gc"]).ok();
            });
        });
    });
    assert!(rounds.load(Ordering::Relaxed) > 12, "hardly anything happened");
    // Everything opens, there is nothing to take away, and every image has all of its content.
    place.run(&["gc"]).ok();
    assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
    // One with several names is listed with each.
    let listed = place.run(&["images", "-q", "--no-trunc"]).ok().out;
    let ids: BTreeSet<&str> = listed.lines().collect();
    assert!(ids.len() >= 3, "{listed}");
    for id in &ids {
        place.run(&["save", "-o", "/dev/null", id]).ok();
    }
    for driver in DRIVERS {
        for round in 0..3 {
            let name = format!("built-{driver}:{round}");
            if place.run(&["images", "-q", &name]).ok().out.is_empty() {
                continue;
            }
            let words = [&name, "cat", "/shared", &format!("/{driver}")];
            let said = place.container(&["--rm", "--driver", driver], &words).ok().out;
            assert!(said.starts_with("shared\n"), "{name}: {said}");
        }
    }
    // What is removed now is gone from the disk, too.
    for id in &ids {
        place.run(&["rmi", "--force", id]).ok();
    }
    place.run(&["gc", "--cache"]).ok();
    for driver in DRIVERS {
        let layers = place.root().join("drivers").join(driver).join("layers");
        assert_eq!(crate::place::entries(&layers), 0, "layers stay on {driver}");
    }
    assert_eq!(crate::place::entries(&place.root().join("images/blobs/sha256")), 0, "blobs stay");
}
