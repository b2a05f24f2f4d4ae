//! Many threads at once.

use std::{
    fs,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use storage_driver::{CreateOptions, Error, LayerId, MountMode, StorageDriver};

use crate::{
    Context, During, Op, Stop, Verdict,
    case::cases,
    context::{all, id},
    verdict::ensure,
};

cases! { "concurrency";
    "16-threads" = threads_16: "16 threads create, mount, change, seal, export and remove layers on one parent at once";
    "one-layer" = one_layer: "16 threads mount and close one layer at once";
    "one-id" = one_id: "of 16 threads that create one id, one succeeds, and the others are told that it exists";
    "mount-against-remove" = mount_against_remove: "a layer that is mounted and removed at once is either, and never half";
    "parent-against-child" = parent_against_child: "a parent removed while a child is made: one of the two fails, and nothing is orphaned";
    "child-of-mounted" = child_of_mounted: "children are made, changed and removed by 8 threads while 8 others mount their parent, and one keeps it mounted";
    "diff-against-write" = diff_against_write: "a layer is exported while it is written to";
}

const THREADS: usize = 16;

/// Runs `work` in all threads at once, and fails with the first failure.
fn at_once(work: impl Fn(usize) -> Verdict + Sync) -> Verdict {
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        let spawn = |number| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(number).during(|| format!("thread {number}"))
            })
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Verdict>| {
            thread.join().unwrap_or_else(|_| Err(Stop::failed("a thread panicked")))
        };
        // All are waited for, also after a failure.
        let verdicts: Vec<Verdict> = threads.into_iter().map(join).collect();
        verdicts.into_iter().collect()
    })
}

fn threads_16(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "base"), Op::file("g", "x")])?;
    let driver = &*cx.driver();
    at_once(|number| {
        for round in 0..4 {
            let own = format!("thread {number} round {round}");
            let lower = id(&format!("lower-{number}-{round}"));
            let upper = id(&format!("upper-{number}-{round}"));
            driver.create(&lower, Some(&base), &CreateOptions::default())?;
            write(driver, &lower, &[Op::append("d/f", &*own), Op::remove("g")])?;
            driver.seal(&lower)?;
            driver.create(&upper, Some(&lower), &CreateOptions::default())?;
            write(driver, &upper, &[Op::file("new", &*own)])?;
            let mut tar = vec![];
            driver.diff(&upper, &mut tar)?;
            let view = driver.mount(&upper, MountMode::ReadWrite)?;
            let found = fs::read_to_string(view.path().join("d/f"))?;
            ensure!(found == format!("base{own}"), "found {found:?}");
            ensure!(!view.path().join("g").exists(), "a deleted file is there");
            view.close()?;
            driver.list()?;
            driver.remove(&upper)?;
            driver.remove(&lower)?;
        }
        Ok(())
    })?;
    let left = driver.list()?;
    ensure!(left.len() == 1, "left are {left:?}");
    let view = cx.read(&base)?;
    ensure!(fs::read(view.path().join("d/f"))? == b"base", "the parent was changed");
    Ok(view.close()?)
}

fn write(driver: &dyn StorageDriver, layer: &LayerId, ops: &[Op]) -> Verdict {
    let view = driver.mount(layer, MountMode::ReadWrite)?;
    all(view.path(), ops)?;
    Ok(view.close()?)
}

fn one_layer(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::file("f", "x")])?;
    let layer = cx.create("layer", Some(&base))?;
    let driver = &*cx.driver();
    at_once(|number| {
        for round in 0..8 {
            let view = driver.mount(&layer, MountMode::ReadWrite)?;
            all(view.path(), &[Op::file(format!("{number}-{round}"), "y")])?;
            ensure!(view.path().join("f").exists(), "the parent's file is not there");
            view.close()?;
        }
        Ok(())
    })?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let names = fs::read_dir(view.path())?.count();
    ensure!(names == THREADS * 8 + 1, "{names} names are there, and {} were written", THREADS * 8 + 1);
    Ok(view.close()?)
}

fn one_id(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::file("f", "x")])?;
    let driver = &*cx.driver();
    for round in 0..4 {
        let made = AtomicUsize::new(0);
        let layer = id(&format!("layer-{round}"));
        at_once(|_| match driver.create(&layer, Some(&base), &CreateOptions::default()) {
            Ok(()) => {
                made.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(Error::Exists { .. }) => Ok(()),
            Err(other) => Err(other.into()),
        })?;
        ensure!(made.load(Ordering::Relaxed) == 1, "{} threads made the layer", made.load(Ordering::Relaxed));
        write(driver, &layer, &[Op::append("f", "y")])?;
    }
    Ok(())
}

fn mount_against_remove(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::file("f", "x")])?;
    let driver = &*cx.driver();
    for round in 0..8 {
        let layer = id(&format!("layer-{round}"));
        driver.create(&layer, Some(&base), &CreateOptions::default())?;
        let removed = AtomicUsize::new(0);
        at_once(|number| {
            if number % 2 == 0 {
                return match driver.remove(&layer) {
                    Ok(()) => {
                        removed.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    }
                    Err(Error::InUse { .. } | Error::NotFound { .. }) => Ok(()),
                    Err(other) => Err(other.into()),
                };
            }
            match driver.mount(&layer, MountMode::ReadWrite) {
                Ok(view) => {
                    ensure!(view.path().join("f").exists(), "a mounted layer is empty");
                    Ok(view.close()?)
                }
                Err(Error::NotFound { .. }) => Ok(()),
                Err(other) => Err(other.into()),
            }
        })?;
        let removed = removed.load(Ordering::Relaxed);
        ensure!(removed <= 1, "{removed} threads removed one layer");
        ensure!(
            driver.stat(&layer).is_err() == (removed == 1),
            "the layer was removed {removed} times, and stat says otherwise"
        );
    }
    Ok(())
}

fn parent_against_child(cx: &Context<'_>) -> Verdict {
    let driver = &*cx.driver();
    for round in 0..6 {
        let parent = cx.sealed(&format!("parent-{round}"), None, &[Op::file("f", "x")])?;
        at_once(|number| {
            let answer = if number == 0 {
                driver.remove(&parent)
            } else {
                driver.create(&id(&format!("child-{round}-{number}")), Some(&parent), &CreateOptions::default())
            };
            match answer {
                Ok(()) | Err(Error::HasChildren { .. } | Error::NotFound { .. }) => Ok(()),
                Err(other) => Err(other.into()),
            }
        })?;
        for info in driver.list()?.iter().rev() {
            if let Some(parent) = &info.parent {
                driver.stat(parent).during(|| format!("the parent of {}", info.id))?;
                write(driver, &info.id, &[Op::append("f", "y")])?;
            }
            driver.remove(&info.id)?;
        }
    }
    Ok(())
}

fn child_of_mounted(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "base")])?;
    let parent = cx.sealed("parent", Some(&base), &[Op::append("d/f", " and parent")])?;
    let driver = &*cx.driver();
    let kept = driver.mount(&parent, MountMode::ReadOnly)?;
    let whole = |found: String| -> Verdict {
        ensure!(found == "base and parent", "found {found:?}");
        Ok(())
    };
    at_once(|number| {
        for round in 0..3 {
            if number % 2 == 0 {
                let view = driver.mount(&parent, MountMode::ReadOnly)?;
                whole(fs::read_to_string(view.path().join("d/f"))?)?;
                view.close()?;
                continue;
            }
            let child = id(&format!("child-{number}-{round}"));
            driver.create(&child, Some(&parent), &CreateOptions::default())?;
            let view = driver.mount(&child, MountMode::ReadWrite)?;
            whole(fs::read_to_string(view.path().join("d/f"))?)?;
            all(view.path(), &[Op::append("d/f", "changed"), Op::file("new", "x")])?;
            view.close()?;
            driver.remove(&child)?;
        }
        Ok(())
    })?;
    whole(fs::read_to_string(kept.path().join("d/f"))?)?;
    kept.close()?;
    driver.remove(&parent)?;
    Ok(())
}

fn diff_against_write(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "x")])?;
    let layer = cx.create("layer", Some(&base))?;
    let driver = &*cx.driver();
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let path = view.path().to_owned();
    at_once(|number| {
        for round in 0..6 {
            if number < 4 {
                let mut tar = vec![];
                driver.diff(&layer, &mut tar)?;
                driver.changes(&layer)?;
                driver.usage(&layer)?;
            } else {
                let name = format!("d/{number}-{round}");
                all(&path, &[Op::file(&name, "y"), Op::append(&name, "z"), Op::mkdir(format!("{name}-d"))])?;
                if round % 2 == 0 {
                    all(&path, &[Op::remove(&name), Op::remove(format!("{name}-d"))])?;
                }
            }
        }
        Ok(())
    })?;
    view.close()?;
    let mut tar = vec![];
    let stats = driver.diff(&layer, &mut tar)?;
    // 12 writers leave 3 files and 3 directories each; and their directory changed.
    ensure!(stats.entries == 12 * 6 + 1, "the diff has {} entries", stats.entries);
    Ok(())
}
