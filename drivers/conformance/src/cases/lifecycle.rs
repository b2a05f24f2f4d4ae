//! What may be done to a layer when, and what is told of it.

use std::{fs, path::PathBuf};

use storage_driver::{Bytes, CreateOptions, Error, LayerState, MountMode, Sharing, Support};

use crate::{
    Context, Data, Op, Stop, Verdict,
    case::cases,
    context::{all, id},
    verdict::{ensure, ensure_error},
};

cases! { "lifecycle";
    "counted-mounts" = counted_mounts: "two references share one mount, which lives until the second is given back";
    "dropped-mount" = dropped_mount: "a reference that is dropped unmounts";
    "mount-modes" = mount_modes: "a writable layer is mounted one way at a time, a sealed one read-only";
    "seal-while-mounted" = seal_mounted: "a mounted layer is not sealed";
    "seal-twice" = seal_twice: "sealing a sealed layer changes nothing";
    "remove-while-mounted" = remove_mounted: "a mounted layer is not removed";
    "parent-rules" = parent_rules: "a parent must be there and sealed";
    "absent" = absent: "every question about an absent layer says that it is absent";
    "refused-create-leaves-nothing" = refused_create: "a creation that fails leaves no layer";
    "size-limit-or-refusal" = size_limit: "a size limit is kept or refused, never ignored";
    "times" = times: "creation and update times are in order";
    "mounted-elsewhere" = busy_file: "a layer can be unmounted and removed while a file of it is open";
    "second-opening" = second_opening [Persistence]: "a root that is open cannot be opened a second time";
    "reopen" = reopen [Persistence]: "layers, contents, states and labels are there after reopening";
    "reopen-and-go-on" = reopen_and_go_on [Persistence]: "a writable layer can be changed, sealed and exported after reopening";
    "seal-later" = seal_later [Persistence]: "layers that are sealed later are parents at once, and durable when they have settled";
    "recovered-nothing" = recovered_nothing [Persistence]: "a clean shutdown leaves nothing to recover";
    "usage" = usage: "usage grows with what is written, and is what the way of sharing makes it";
    "usage-after-copy-up" = usage_copied_up: "what a small write costs is told: nothing shared, the file, or its blocks";
    "removed-space" = removed_space: "files of a removed layer are gone from the root";
    "status" = status: "name and status are told";
}

fn counted_mounts(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let sealed = cx.sealed("sealed", None, &[Op::file("f", "x")])?;
    let writable = cx.create("writable", Some(&sealed))?;
    for (layer, mode) in [(&sealed, MountMode::ReadOnly), (&writable, MountMode::ReadWrite)] {
        let first = driver.mount(layer, mode)?;
        let second = driver.mount(layer, mode)?;
        ensure!(first.path() == second.path(), "two references have different paths");
        ensure!((first.id(), first.mode()) == (layer, mode), "the reference names another layer or mode");
        let path = first.path().to_owned();
        first.close()?;
        ensure!(path.join("f").exists(), "giving one of two references back unmounted the layer");
        if mode == MountMode::ReadWrite {
            all(&path, &[Op::file("still-writable", "y")])?;
        }
        let third = driver.mount(layer, mode)?;
        second.close()?;
        ensure!(third.path().join("f").exists(), "giving two of three references back unmounted the layer");
        third.close()?;
    }
    driver.shutdown()?;
    let view = driver.mount(&writable, MountMode::ReadWrite)?;
    ensure!(view.path().join("still-writable").exists(), "what was written through the second reference is lost");
    Ok(view.close()?)
}

fn dropped_mount(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    drop(driver.mount(&layer, MountMode::ReadWrite)?);
    driver.seal(&layer)?;
    Ok(())
}

fn seal_later(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let mut layers = Vec::new();
    for number in 0..3 {
        let layer = cx.changed(&format!("later-{number}"), layers.last(), &[Op::file(format!("f{number}"), "x")])?;
        driver.seal_later(&layer)?;
        ensure!(driver.stat(&layer)?.state == LayerState::Sealed, "the layer is not sealed for its own driver");
        layers.push(layer);
    }
    driver.settle()?;
    driver.settle()?;
    let top = &layers[2];
    drop(driver);
    let driver = cx.reopen()?;
    ensure!(layers.iter().all(|layer| driver.stat(layer).is_ok_and(|it| it.state == LayerState::Sealed)), "not sealed");
    let view = driver.mount(top, MountMode::ReadOnly)?;
    ensure!((0..3).all(|number| view.path().join(format!("f{number}")).exists()), "a layer's file is gone");
    Ok(view.close()?)
}

fn mount_modes(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let sealed = cx.sealed("sealed", None, &[])?;
    ensure_error!(
        driver.mount(&sealed, MountMode::ReadWrite),
        Error::Sealed { .. },
        "mounting a sealed layer read-write"
    );
    let layer = cx.changed("layer", Some(&sealed), &[Op::file("f", "x")])?;
    let (one, other) = (MountMode::ReadWrite, MountMode::ReadOnly);
    for (mode, against) in [(one, other), (other, one)] {
        let view = driver.mount(&layer, mode)?;
        ensure_error!(
            driver.mount(&layer, against),
            Error::InUse { .. },
            format!("mounting {against:?} what is mounted {mode:?}")
        );
        ensure!(view.path().join("f").exists(), "a refused mount harmed the one that is there");
        let written = crate::op::execute(view.path(), &Op::append("f", "y")).is_ok();
        ensure!(written == (mode == one), "mounted {mode:?}, writing succeeded: {written}");
        view.close()?;
    }
    Ok(())
}

fn seal_mounted(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    for mode in [MountMode::ReadWrite, MountMode::ReadOnly] {
        let view = driver.mount(&layer, mode)?;
        ensure_error!(driver.seal(&layer), Error::InUse { .. }, format!("sealing what is mounted {mode:?}"));
        ensure!(driver.stat(&layer)?.state == LayerState::Writable, "a refused seal sealed the layer");
        view.close()?;
    }
    Ok(driver.seal(&layer)?)
}

fn seal_twice(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.sealed("layer", None, &[Op::file("f", "x")])?;
    let before = driver.stat(&layer)?;
    driver.seal(&layer)?;
    let view = cx.read(&layer)?;
    driver.seal(&layer).or_else(|error| if matches!(error, Error::InUse { .. }) { Ok(()) } else { Err(error) })?;
    view.close()?;
    ensure!(driver.stat(&layer)? == before, "sealing a sealed layer changed what is told of it");
    Ok(())
}

fn remove_mounted(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.changed("layer", None, &[Op::file("f", "x")])?;
    for mode in [MountMode::ReadWrite, MountMode::ReadOnly] {
        let view = driver.mount(&layer, mode)?;
        ensure_error!(driver.remove(&layer), Error::InUse { .. }, format!("removing what is mounted {mode:?}"));
        ensure!(view.path().join("f").exists(), "a refused removal harmed the layer");
        view.close()?;
    }
    Ok(driver.remove(&layer)?)
}

fn parent_rules(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let options = CreateOptions::default();
    let absent = driver.create(&id("child"), Some(&id("absent")), &options);
    ensure_error!(absent, Error::NotFound { .. }, "creating on an absent parent");
    let writable = cx.create("writable", None)?;
    let unsealed = driver.create(&id("child"), Some(&writable), &options);
    ensure_error!(unsealed, Error::NotSealed { .. }, "creating on a writable parent");
    let itself = driver.create(&id("self"), Some(&id("self")), &options);
    ensure_error!(itself, Error::NotFound { .. }, "creating a layer on itself");
    driver.seal(&writable)?;
    driver.create(&id("child"), Some(&writable), &options)?;
    match driver.remove(&writable) {
        Err(Error::HasChildren { child, others: 0, .. }) => {
            ensure!(child == id("child"), "the child is told as {child}");
        }
        other => return Err(Stop::failed(format!("removing a parent gave {other:?}"))),
    }
    Ok(())
}

fn absent(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let absent = id("absent");
    ensure_error!(driver.stat(&absent), Error::NotFound { .. }, "stat");
    ensure_error!(driver.mount(&absent, MountMode::ReadOnly), Error::NotFound { .. }, "mount");
    ensure_error!(driver.seal(&absent), Error::NotFound { .. }, "seal");
    ensure_error!(driver.remove(&absent), Error::NotFound { .. }, "remove");
    ensure_error!(driver.usage(&absent), Error::NotFound { .. }, "usage");
    ensure_error!(driver.changes(&absent), Error::NotFound { .. }, "changes");
    ensure!(driver.list()?.is_empty(), "asking for a layer made it");
    Ok(())
}

fn refused_create(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let options = CreateOptions::default();
    for round in 0..3 {
        let refused = driver.create(&id("layer"), Some(&id("absent")), &options);
        ensure!(refused.is_err(), "round {round}: creating on an absent parent succeeded");
        ensure_error!(driver.stat(&id("layer")), Error::NotFound { .. }, "stat after a refused creation");
    }
    driver.create(&id("layer"), None, &options)?;
    Ok(())
}

fn size_limit(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let options = CreateOptions { size: Some(Bytes(1 << 30)), ..Default::default() };
    let answer = driver.create(&id("limited"), None, &options);
    match (&driver.capabilities().size_limit, answer) {
        (Support::Yes, answer) => Ok(answer?),
        (Support::No(_), Err(Error::Unsupported { .. })) => {
            ensure_error!(driver.stat(&id("limited")), Error::NotFound { .. }, "stat after a refused creation");
            Ok(())
        }
        (Support::No(why), answer) => {
            Err(Stop::failed(format!("limits are not supported ({why}), and create gave {answer:?}")))
        }
    }
}

fn times(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    let new = driver.stat(&layer)?;
    ensure!(new.created == new.updated && new.created.0 > 0, "a new layer is told as {new:?}");
    std::thread::sleep(std::time::Duration::from_millis(2));
    driver.seal(&layer)?;
    let sealed = driver.stat(&layer)?;
    ensure!(sealed.created == new.created && sealed.updated > new.updated, "after sealing the times are {sealed:?}");
    Ok(())
}

/// moby#32461, #37970: whatever still has a file open must not keep a layer from going away.
fn busy_file(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("f", "content")])?;
    let layer = cx.changed("layer", Some(&base), &[Op::file("g", "content")])?;
    for (layer, mode) in [(&layer, MountMode::ReadWrite), (&layer, MountMode::ReadOnly), (&base, MountMode::ReadOnly)] {
        let view = driver.mount(layer, mode)?;
        let held = fs::File::open(view.path().join("f"))?;
        let directory = fs::File::open(view.path())?;
        view.close()?;
        let again = driver.mount(layer, mode)?;
        ensure!(again.path().join("f").exists(), "{layer} is empty when it is mounted again");
        again.close()?;
        drop((held, directory));
    }
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let held = fs::File::open(view.path().join("g"))?;
    view.close()?;
    driver.remove(&layer)?;
    drop(held);
    Ok(driver.remove(&base)?)
}

fn second_opening(cx: &Context<'_>) -> Verdict {
    let layer = cx.sealed("layer", None, &[Op::file("f", "x")])?;
    match cx.open_again() {
        Err(Error::Locked { holder, .. }) => {
            let own = std::process::id().to_string();
            ensure!(holder.contains(&own), "the holder is told as {holder:?}, and it is process {own}");
        }
        Err(other) => return Err(Stop::failed(format!("expected Locked, got: {other}"))),
        Ok(_) => return Err(Stop::failed("the root was opened twice at a time")),
    }
    let view = cx.read(&layer)?;
    ensure!(view.path().join("f").exists(), "a refused opening harmed the driver that has the root");
    Ok(view.close()?)
}

fn reopen(cx: &Context<'_>) -> Verdict {
    let before = {
        let driver = cx.driver();
        let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "1"), Op::file("g", "2")])?;
        let top = cx.sealed("top", Some(&base), &[Op::remove("g"), Op::append("d/f", "3")])?;
        cx.changed("writable", Some(&top), &[Op::file("h", "4")])?;
        driver.set_labels(&top, &[("chain-id".to_owned(), "sha256:\"1\"\n".to_owned())].into())?;
        driver.list()?
    };
    for _ in 0..2 {
        let driver = cx.reopen()?;
        let after = driver.list()?;
        ensure!(after == before, "before reopening: {before:?}; after: {after:?}");
        let view = driver.mount(&id("writable"), MountMode::ReadWrite)?;
        ensure!(fs::read(view.path().join("d/f"))? == b"13", "the parent's file has other content after reopening");
        ensure!(
            fs::read(view.path().join("h"))? == b"4",
            "the writable layer's file has other content after reopening"
        );
        ensure!(!view.path().join("g").exists(), "a deleted file came back by reopening");
        view.close()?;
    }
    let driver = cx.driver();
    ensure_error!(driver.create(&id("top"), None, &CreateOptions::default()), Error::Exists { .. }, "creating anew");
    ensure_error!(driver.remove(&id("base")), Error::HasChildren { .. }, "removing a parent after reopening");
    for name in ["writable", "top", "base"] {
        driver.remove(&id(name))?;
    }
    drop(driver);
    let driver = cx.reopen()?;
    ensure!(driver.list()?.is_empty(), "removed layers came back by reopening");
    Ok(())
}

fn reopen_and_go_on(cx: &Context<'_>) -> Verdict {
    let tar = {
        let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "1")])?;
        cx.changed("layer", Some(&base), &[Op::append("d/f", "2"), Op::utimes("d/f", 1, 2)])?;
        let mut tar = vec![];
        cx.driver().diff(&id("layer"), &mut tar)?;
        tar
    };
    let driver = cx.reopen()?;
    let mut again = vec![];
    driver.diff(&id("layer"), &mut again)?;
    ensure!(again == tar, "reopening changed the diff");
    cx.change(&id("layer"), &[Op::file("new", "3")])?;
    driver.seal(&id("layer"))?;
    drop(driver);
    let driver = cx.reopen()?;
    let changes: Vec<_> = driver.changes(&id("layer"))?.iter().map(ToString::to_string).collect();
    ensure!(changes == ["C /d/f", "A /new"], "the changes are {changes:?}");
    ensure!(driver.stat(&id("layer"))?.state == LayerState::Sealed, "the layer is not sealed after reopening");
    Ok(())
}

fn recovered_nothing(cx: &Context<'_>) -> Verdict {
    {
        let base = cx.sealed("base", None, &[Op::file("f", "1")])?;
        let layer = cx.changed("layer", Some(&base), &[Op::append("f", "2")])?;
        cx.driver().remove(&layer)?;
    }
    let driver = cx.reopen()?;
    ensure!(driver.recovered().is_empty(), "after a clean shutdown it recovered {:?}", driver.recovered());
    Ok(())
}

const MIB: u64 = 1 << 20;

fn usage(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let random = |seed| Data::Random { seed, len: MIB as usize };
    let base = cx.sealed("base", None, &[Op::file("f", random(1)), Op::mkdir("d"), Op::file("d/g", random(2))])?;
    let full = driver.usage(&base)?;
    ensure!(full.exclusive.get() >= 2 * MIB, "a layer of 2 MiB takes {}", full.exclusive);
    ensure!(full.exclusive.get() < 3 * MIB, "a layer of 2 MiB takes {}", full.exclusive);
    ensure!(full.inodes >= 3, "a layer of two files and a directory holds {} inodes", full.inodes);
    ensure!(full.copied_up == Default::default(), "a layer without a parent copied up {:?}", full.copied_up);

    let layer = cx.create("layer", Some(&base))?;
    let fresh = driver.usage(&layer)?.exclusive.get();
    let copies_all = driver.capabilities().sharing == Sharing::None;
    ensure!(
        copies_all == (fresh >= 2 * MIB),
        "a fresh layer takes {fresh} bytes, with sharing {:?}",
        driver.capabilities().sharing
    );
    ensure!(copies_all || fresh < 256 << 10, "a fresh layer takes {fresh} bytes");
    cx.change(&layer, &[Op::file("h", random(3))])?;
    let grown = driver.usage(&layer)?.exclusive.get();
    // A file system on thin blocks touches one for each place it writes to: journal, bitmaps, inode, directory.
    let places = if let Sharing::Block(size) = driver.capabilities().sharing { 8 * size } else { 0 };
    let took = grown - fresh;
    ensure!((MIB..MIB + (256 << 10) + places).contains(&took), "writing 1 MiB took {took} bytes");
    cx.change(&layer, &[Op::remove("h")])?;
    let shrunk = driver.usage(&layer)?.exclusive.get();
    ensure!(
        shrunk < fresh + (256 << 10) + places,
        "after deleting what was written, {shrunk} bytes remain; it began with {fresh}"
    );
    ensure!(driver.usage(&base)? == full, "a child changed what its parent takes");
    Ok(())
}

fn usage_copied_up(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base =
        cx.sealed("base", None, &[Op::file("f", Data::Random { seed: 1, len: MIB as usize }), Op::file("g", "x")])?;
    let layer = cx.create("layer", Some(&base))?;
    let before = driver.usage(&layer)?;
    cx.change(&layer, &[Op::overwrite("f", 500_000, "four")])?;
    let after = driver.usage(&layer)?;
    let grown = after.exclusive.saturating_sub(before.exclusive).get();
    match driver.capabilities().sharing {
        Sharing::None => ensure!(grown < 256 << 10, "nothing is shared, and four bytes took {grown} more"),
        Sharing::File => {
            ensure!(grown >= MIB, "whole files are copied, and four bytes took {grown}");
            ensure!(
                after.copied_up.files == 1,
                "{} files are told to be copied up, and it was one",
                after.copied_up.files
            );
            let bytes = after.copied_up.bytes.get();
            ensure!((MIB..MIB + 65536).contains(&bytes), "{bytes} bytes are told to be copied up");
        }
        Sharing::Block(size) => {
            ensure!(grown <= 2 * size + (256 << 10), "blocks of {size} are shared, and four bytes took {grown}");
        }
    }
    Ok(())
}

fn removed_space(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let marker = "a-name-that-nothing-else-has";
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file(format!("d/{marker}"), "x")])?;
    let layer = cx.changed("layer", Some(&base), &[Op::file(marker, "y")])?;
    driver.remove(&layer)?;
    driver.remove(&base)?;
    driver.shutdown()?;
    let left = find(&cx.root(), marker)?;
    ensure!(left.is_none(), "after removal there is still {}", left.unwrap_or_default().display());
    Ok(())
}

fn find(directory: &std::path::Path, name: &str) -> Verdict<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == name {
            return Ok(Some(entry.path()));
        }
        if entry.file_type()?.is_dir()
            && let Some(found) = find(&entry.path(), name)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn status(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    ensure!(!driver.name().is_empty(), "the driver has no name");
    for (name, value) in driver.status().pairs {
        ensure!(!name.is_empty() && !value.contains('\n'), "the status has {name:?} = {value:?}");
    }
    Ok(())
}
