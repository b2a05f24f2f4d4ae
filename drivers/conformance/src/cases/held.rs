//! Mounts that outlive the driver, within one process; what several processes make of them is each driver's own test.

use std::fs;

use storage_driver::{CreateOptions, Error, HeldMount, LayerId, MountMode, StorageDriver};

use crate::{
    Context, Op, Verdict,
    case::cases,
    context::{all, id},
    leaks,
    verdict::{ensure, ensure_error},
};

cases! { "held";
    "counts-as-mounted" = counts_as_mounted: "a held layer is mounted, for the driver that it came from too";
    "read-only" = read_only: "a sealed layer can be held, and layers stand on it meanwhile";
    "alone" = alone: "a mount with other references is not held";
    "dropped" = dropped: "a hold that is dropped unmounts";
    "outlives-driver" = outlives_driver [Persistence]: "a held layer stays mounted while its driver is closed and opened again";
    "outlives-no-crash" = closed_while_nobody_looks [Persistence]: "a hold that is closed while no driver is open leaves nothing to recover";
}

const BELOW: &[&str] = &["C /d", "A /d/new", "D /f"];

/// A writable layer on a sealed parent, changed through the mount that is then held.
fn held(cx: &Context<'_>) -> Verdict<HeldMount> {
    // The directory's change shows by its time, which could be that of the same tick of the clock.
    let below = [Op::mkdir("d"), Op::file("d/f", "1"), Op::file("f", "2"), Op::utimes("d", 1_000_000_000, 0)];
    let base = cx.sealed("base", None, &below)?;
    let layer = cx.create("layer", Some(&base))?;
    let mounted = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    all(mounted.path(), &[Op::file("d/new", "3"), Op::remove("f")])?;
    let path = mounted.path().to_owned();
    let held = cx.driver().hold(mounted)?;
    ensure!(held.path() == path, "the mount is at {}, and the hold says {}", path.display(), held.path().display());
    ensure!((held.id(), held.mode()) == (&layer, MountMode::ReadWrite), "the hold names another layer or mode");
    Ok(held)
}

fn outlives(driver: &dyn StorageDriver) -> bool {
    driver.capabilities().held_mounts.is_yes()
}

/// What holds of a layer that is held read-write, whoever opened `driver`.
fn is_mounted(driver: &dyn StorageDriver, held: &HeldMount) -> Verdict {
    let layer = held.id();
    ensure_error!(driver.remove(layer), Error::InUse { .. }, "removing what is held");
    ensure_error!(driver.seal(layer), Error::InUse { .. }, "sealing what is held");
    ensure_error!(driver.apply(layer, &mut &[0; 1024][..]), Error::InUse { .. }, "applying to what is held");
    ensure_error!(driver.mount(layer, MountMode::ReadOnly), Error::InUse { .. }, "mounting it the other way");
    ensure_error!(driver.remove(&id("base")), Error::HasChildren { .. }, "removing the parent of what is held");
    if outlives(driver) {
        let refused = driver.remove(layer).err().map(|error| error.to_string()).unwrap_or_default();
        let own = std::process::id().to_string();
        ensure!(refused.contains(&own), "the refusal does not name the holder, process {own}: {refused}");
        driver.shutdown()?;
    } else {
        ensure_error!(driver.shutdown(), Error::InUse { .. }, "shutdown while a hold keeps the mount");
    }
    let second = driver.mount(layer, MountMode::ReadWrite)?;
    ensure!(second.path() == held.path(), "a second reference has another path than the hold");
    ensure!(fs::read(second.path().join("d/new"))? == b"3", "the second reference shows another tree");
    ensure_error!(driver.shutdown(), Error::InUse { .. }, "shutdown with a reference of its own");
    second.close()?;
    ensure!(held.path().join("d/new").exists(), "giving a reference back unmounted what is held");
    let changes: Vec<_> = driver.changes(layer)?.iter().map(ToString::to_string).collect();
    ensure!(changes == BELOW, "the changes of the held layer are {changes:?}");
    let usage = driver.usage(layer)?;
    // A name was added and another one removed, which some count as nothing; blocks were not.
    ensure!(usage.inodes > 0 || usage.exclusive.get() > 0, "what is held takes nothing");
    let mut tar = Vec::new();
    driver.diff(layer, &mut tar)?;
    ensure!(!tar.is_empty(), "the diff of the held layer is empty");
    driver.set_labels(layer, &[("k".to_owned(), "v".to_owned())].into())?;
    ensure!(driver.stat(layer)?.labels.len() == 1, "the held layer's labels are lost");
    // Its siblings live on.
    let sibling = id("sibling");
    driver.create(&sibling, Some(&id("base")), &CreateOptions::default())?;
    driver.mount(&sibling, MountMode::ReadWrite)?.close()?;
    driver.remove(&sibling)?;
    all(held.path(), &[Op::file("written-while-held", "4"), Op::remove("written-while-held")])
}

/// The hold is over: the layer is as any other.
fn is_free(driver: &dyn StorageDriver, layer: &LayerId) -> Verdict {
    let view = driver.mount(layer, MountMode::ReadOnly)?;
    ensure!(fs::read(view.path().join("d/new"))? == b"3", "what was written through the held mount is lost");
    view.close()?;
    let view = driver.mount(layer, MountMode::ReadWrite)?;
    all(view.path(), &[Op::file("later", "5")])?;
    view.close()?;
    driver.seal(layer)?;
    driver.remove(layer)?;
    Ok(driver.remove(&id("base"))?)
}

fn counts_as_mounted(cx: &Context<'_>) -> Verdict {
    let held = held(cx)?;
    let layer = held.id().clone();
    is_mounted(&*cx.driver(), &held)?;
    held.close()?;
    is_free(&*cx.driver(), &layer)
}

fn read_only(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("f", "1")])?;
    let held = driver.hold(driver.mount(&base, MountMode::ReadOnly)?)?;
    ensure!(fs::write(held.path().join("g"), "x").is_err(), "what is held read-only can be written to");
    let layer = cx.changed("layer", Some(&base), &[Op::append("f", "2")])?;
    driver.seal(&layer)?;
    let view = driver.mount(&base, MountMode::ReadOnly)?;
    ensure!(view.path() == held.path(), "a second reference has another path than the hold");
    ensure!(fs::read(view.path().join("f"))? == b"1", "the held layer shows what its child wrote");
    view.close()?;
    driver.remove(&layer)?;
    ensure_error!(driver.remove(&base), Error::InUse { .. }, "removing what is held");
    held.close()?;
    Ok(driver.remove(&base)?)
}

fn alone(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    let first = driver.mount(&layer, MountMode::ReadWrite)?;
    let second = driver.mount(&layer, MountMode::ReadWrite)?;
    if outlives(&*driver) {
        ensure_error!(driver.hold(second), Error::InUse { .. }, "holding one of two references");
        all(first.path(), &[Op::file("f", "the other one is still mounted")])?;
        let held = driver.hold(first)?;
        let third = driver.mount(&layer, MountMode::ReadWrite)?;
        ensure_error!(driver.hold(third), Error::InUse { .. }, "holding what is held");
        ensure!(held.path().join("f").exists(), "a refused hold unmounted the first");
        held.close()?;
    } else {
        // A hold is a reference like others there.
        let held = driver.hold(second)?;
        first.close()?;
        all(held.path(), &[Op::file("f", "x")])?;
        held.close()?;
    }
    Ok(driver.remove(&layer)?)
}

fn dropped(cx: &Context<'_>) -> Verdict {
    let held = held(cx)?;
    let layer = held.id().clone();
    drop(held);
    is_free(&*cx.driver(), &layer)
}

fn outlives_driver(cx: &Context<'_>) -> Verdict {
    let held = held(cx)?;
    let layer = held.id().clone();
    if outlives(&*cx.driver()) {
        for _ in 0..2 {
            let driver = cx.reopen()?;
            ensure!(driver.recovered().is_empty(), "opening took away {:?} while it is held", driver.recovered());
            is_mounted(&*driver, &held)?;
        }
    } else {
        ensure_error!(cx.driver().shutdown(), Error::InUse { .. }, "shutdown while a hold keeps the mount");
        ensure_error!(cx.open_again(), Error::Locked { .. }, "opening the root while a hold keeps it");
    }
    held.close()?;
    is_free(&*cx.driver(), &layer)
}

fn closed_while_nobody_looks(cx: &Context<'_>) -> Verdict {
    let held = held(cx)?;
    let layer = held.id().clone();
    if outlives(&*cx.driver()) {
        cx.close_driver()?;
        ensure!(fs::read(held.path().join("d/new"))? == b"3", "closing the driver unmounted what is held");
        all(held.path(), &[Op::file("written-without-driver", "4"), Op::remove("written-without-driver")])?;
    }
    held.close()?;
    leaks::check(cx.room())?;
    let driver = cx.reopen()?;
    ensure!(driver.recovered().is_empty(), "a hold that was closed left {:?} to recover", driver.recovered());
    is_free(&*driver, &layer)
}
