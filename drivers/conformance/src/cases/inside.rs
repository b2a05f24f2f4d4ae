//! What programs see inside a mounted layer.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt},
};

use rustix::io::Errno;
use storage_driver::{Deviation, MountMode, MountedLayer};
use storage_layer::Manifest;
use storage_sys::mmap;

use crate::{
    Context, Data, Op, Stack, Stop, Verdict, case::cases, context::all, expectation::equal, holes, op::execute,
    verdict::ensure,
};

cases! { "inside";
    "rename-parent-directory" = rename_parent_directory: "renaming a directory of the parent works, or fails with EXDEV where that is declared";
    "stale-read-descriptor" = stale_read_descriptor: "a descriptor opened before the first write shows the write, unless declared otherwise";
    "hard-link-breaks" = hard_link_breaks: "writing to one name of a parent's file shows under the other, unless declared otherwise";
    "copy-up-fills-holes" = copy_up_fills_holes: "a sparse file of the parent stays sparse when it is written to, unless declared otherwise";
    "unlink-open-file" = unlink_open_file: "a deleted file of the parent can be read and written through its descriptor";
    "rename-over-open-file" = rename_over_open_file: "a replaced file can still be read through its descriptor";
    "mmap-write" = mmap_write: "what is written through a shared mapping is in the file, in the layer and in its diff";
    "mmap-private" = mmap_private: "what is written through a private mapping goes nowhere";
    "append-after-copy-up" = append_after_copy_up: "O_APPEND writes go to the end, after copy-up and beside another writer";
    "truncate" = truncate: "files of the parent are cut and grown, by size and by O_TRUNC, to every kind of size";
    "read-only-open-copies-nothing" = read_copies_nothing: "reading, listing and failed writes leave no change";
    "copy-up-keeps-everything" = copy_up_keeps: "the first write to a file changes nothing else of it, nor of its directory";
    "copy-up-in-deep-directory" = copy_up_deep: "a write deep down leaves every directory on the way as it was";
    "rename-chain" = rename_chain: "contents follow a circular chain of renames";
    "rename-kinds" = rename_kinds: "renames over other kinds of files give the kernel's own errors";
    "directory-reading" = directory_reading: "a directory is listed without doubles and without what was deleted, also while it changes";
    "rmdir-with-whiteouts" = rmdir_whiteouts: "a directory whose parent entries are all deleted is empty and can be removed";
    "exchange" = exchange: "two files of the parent change places in one step";
    "statfs-has-room" = statfs_has_room: "the mount says how much room there is";
    "parent-stays" = parent_stays: "nothing that is done to a child is seen in its parent or in a sibling";
    "execute" = execute_program: "a program in a layer can be executed";
}

/// A writable child of a layer that `ops` made, mounted.
fn child_of(cx: &Context<'_>, ops: &[Op]) -> Verdict<MountedLayer> {
    let base = cx.sealed("base", None, ops)?;
    let layer = cx.create("layer", Some(&base))?;
    Ok(cx.driver().mount(&layer, MountMode::ReadWrite)?)
}

/// A declared deviation must show, and one that is not declared must not.
fn both_ways(cx: &Context<'_>, deviation: Deviation, shown: bool, what: &str) -> Verdict {
    let declared = cx.driver().capabilities().deviations.contains(&deviation);
    match (declared, shown) {
        (false, true) => Err(Stop::failed(what)),
        (true, false) => Err(Stop::failed(format!("{deviation:?} is declared and does not show"))),
        _ => Ok(()),
    }
}

fn rename_parent_directory(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::mkdir("d"), Op::file("d/f", "x"), Op::mkdir("empty")])?;
    for (from, to) in [("d", "e"), ("empty", "still-empty")] {
        let answer = execute(view.path(), &Op::rename(from, to));
        let shown = match &answer {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => true,
            Err(error) => return Err(Stop::failed(format!("renaming {from}: {error}"))),
        };
        both_ways(cx, Deviation::RenameParentDirectory, shown, &format!("renaming {from} failed with EXDEV"))?;
        let (there, gone) = if shown { (from, to) } else { (to, from) };
        ensure!(
            view.path().join(there).is_dir() && !view.path().join(gone).exists(),
            "{from} is not where it should be"
        );
    }
    // A directory of the layer's own can always be renamed.
    all(view.path(), &[Op::mkdir("own"), Op::file("own/f", "x"), Op::rename("own", "renamed")])?;
    Ok(view.close()?)
}

fn stale_read_descriptor(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("f", "old")])?;
    let mut before = File::open(view.path().join("f"))?;
    all(view.path(), &[Op::overwrite("f", 0, "new")])?;
    let mut content = String::new();
    before.read_to_string(&mut content)?;
    ensure!(content == "old" || content == "new", "the descriptor shows {content:?}");
    let what = "a descriptor opened before the write does not show it";
    both_ways(cx, Deviation::StaleReadDescriptor, content == "old", what)?;
    drop(before);
    Ok(view.close()?)
}

fn copy_up_fills_holes(cx: &Context<'_>) -> Verdict {
    let end = 128 << 10;
    let view = child_of(cx, &[Op::file("f", "start"), Op::overwrite("f", end, "end")])?;
    let path = view.path().join("f");
    let hole = |path| -> Verdict<bool> { Ok(holes::next_hole(&File::open(path)?, 0)? < end) };
    let before = hole(&path)?;
    all(view.path(), &[Op::append("f", "more")])?;
    let what = "the hole in the middle is filled";
    both_ways(cx, Deviation::CopyUpFillsHoles, before && !hole(&path)?, what)?;
    Ok(view.close()?)
}

fn hard_link_breaks(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("a", "old"), Op::link("a", "b")])?;
    all(view.path(), &[Op::overwrite("a", 0, "new")])?;
    let other = fs::read_to_string(view.path().join("b"))?;
    ensure!(other == "old" || other == "new", "the other name shows {other:?}");
    both_ways(cx, Deviation::HardLinkBreaks, other == "old", "a write to one name does not show under the other")?;
    Ok(view.close()?)
}

fn unlink_open_file(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("f", "content"), Op::file("g", "content")])?;
    let mut reader = File::open(view.path().join("f"))?;
    let mut writer = OpenOptions::new().read(true).append(true).open(view.path().join("g"))?;
    all(view.path(), &[Op::remove("f"), Op::remove("g")])?;
    let mut content = String::new();
    reader.read_to_string(&mut content)?;
    ensure!(content == "content", "the deleted file reads {content:?}");
    writer.write_all(b" and more")?;
    writer.seek(SeekFrom::Start(0))?;
    content.clear();
    writer.read_to_string(&mut content)?;
    ensure!(content == "content and more", "the deleted file reads {content:?} after a write");
    ensure!(writer.metadata()?.nlink() == 0, "the deleted file has {} names", writer.metadata()?.nlink());
    drop((reader, writer));
    let names = fs::read_dir(view.path())?.count();
    ensure!(names == 0, "{names} names are left");
    Ok(view.close()?)
}

fn rename_over_open_file(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("config", "old"), Op::file("config.new", "new")])?;
    let mut reader = File::open(view.path().join("config"))?;
    all(view.path(), &[Op::rename("config.new", "config")])?;
    let mut content = String::new();
    reader.read_to_string(&mut content)?;
    ensure!(content == "old", "the replaced file reads {content:?}");
    ensure!(fs::read(view.path().join("config"))? == b"new", "the name does not lead to the new file");
    drop(reader);
    Ok(view.close()?)
}

fn mmap_write(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let len = 3 * 4096 + 5;
    let base = cx.sealed("base", None, &[Op::file("f", Data::Random { seed: 1, len })])?;
    let layer = cx.create("layer", Some(&base))?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let file = OpenOptions::new().read(true).write(true).open(view.path().join("f"))?;
    let mut mapping = mmap::Mapping::shared(&file, len)?;
    mapping.write(4090, b"across a page")?;
    mapping.write(len - 3, b"end")?;
    mapping.sync()?;
    let mut found = [0; 13];
    file.read_exact_at(&mut found, 4090)?;
    ensure!(
        &found == b"across a page",
        "read(2) shows {:?} after a write through the mapping",
        found.escape_ascii().to_string()
    );
    file.write_all_at(b"other way", 100)?;
    ensure!(mapping.read(100, 9) == b"other way", "the mapping does not show what write(2) wrote");
    drop((mapping, file));
    view.close()?;
    driver.seal(&layer)?;
    let mut expected = Data::Random { seed: 1, len }.to_bytes();
    for (offset, text) in [(4090, &b"across a page"[..]), (len - 3, b"end"), (100, b"other way")] {
        expected[offset..offset + text.len()].copy_from_slice(text);
    }
    let view = cx.read(&layer)?;
    ensure!(
        fs::read(view.path().join("f"))? == expected,
        "the sealed layer lacks what was written through the mapping"
    );
    view.close()?;
    let view = cx.read(&base)?;
    let below = fs::read(view.path().join("f"))?;
    ensure!(below == Data::Random { seed: 1, len }.to_bytes(), "the parent shows what its child wrote");
    Ok(view.close()?)
}

fn mmap_private(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("f", "content")])?;
    let file = File::open(view.path().join("f"))?;
    let mut mapping = mmap::Mapping::private(&file, 7)?;
    mapping.write(0, b"C")?;
    ensure!(mapping.read(0, 7) == b"Content", "the mapping does not show its own write");
    drop((mapping, file));
    ensure!(fs::read(view.path().join("f"))? == b"content", "a private mapping wrote to the file");
    Ok(view.close()?)
}

fn append_after_copy_up(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file("log", "0\n")])?;
    let open = || OpenOptions::new().append(true).open(view.path().join("log"));
    let mut first = open()?;
    first.write_all(b"1\n")?;
    let mut second = open()?;
    second.write_all(b"2\n")?;
    first.write_all(b"3\n")?;
    second.write_all(b"4\n")?;
    drop((first, second));
    let content = fs::read_to_string(view.path().join("log"))?;
    ensure!(content == "0\n1\n2\n3\n4\n", "the log reads {content:?}");
    view.close()?;
    Ok(())
}

fn truncate(cx: &Context<'_>) -> Verdict {
    let sizes = [0, 1, 4095, 4096, 4097, 8191, 8192, 10_000, 12_288, 65_537];
    let files =
        |seed| move |size: &u64| Op::file(format!("to-{size}"), Data::Random { seed: seed + size, len: 10_000 });
    let cuts = |size: &u64| Op::truncate(format!("to-{size}"), *size);
    let first: Vec<Op> = sizes.iter().map(files(1)).collect();
    let second: Vec<Op> = sizes.iter().map(cuts).collect();
    let third: Vec<Op> = sizes.iter().map(|size| Op::truncate(format!("to-{size}"), 5000)).collect();
    Stack::check(cx, &[&first, &second, &third])?;

    let view = child_of(cx, &[Op::file("f", "content")])?;
    File::create(view.path().join("f"))?;
    ensure!(fs::metadata(view.path().join("f"))?.len() == 0, "O_TRUNC left something");
    Ok(view.close()?)
}

fn read_copies_nothing(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed(
        "base",
        None,
        &[
            Op::mkdir("d"),
            Op::file("d/f", "x"),
            Op::symlink("d/f", "l"),
            Op::fifo("p"),
            Op::file_mode("sealed", "y", 0o444),
        ],
    )?;
    let layer = cx.create("layer", Some(&base))?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    Manifest::scan(view.path())?;
    fs::read(view.path().join("l"))?;
    for op in [Op::file("d/f", "x"), Op::mkdir("d"), Op::remove("d"), Op::rename("absent", "d/f"), Op::link("d", "e")] {
        ensure!(execute(view.path(), &op).is_err(), "{op:?} succeeded");
    }
    let changes = driver.changes(&layer)?;
    ensure!(changes.is_empty(), "reading changed {changes:?}");
    view.close()?;
    let mut tar = vec![];
    let stats = driver.diff(&layer, &mut tar)?;
    ensure!(stats.entries == 0, "the diff of an untouched layer has {} entries", stats.entries);
    Ok(())
}

fn copy_up_keeps(cx: &Context<'_>) -> Verdict {
    let base = [
        Op::mkdir_mode("d", 0o2750),
        Op::file_mode("d/f", "content", 0o640),
        Op::xattr("d/f", "user.kept", "yes"),
        Op::xattr("d", "user.kept", "yes"),
        Op::utimes("d/f", 1_500_000_000, 5),
        Op::utimes("d", 1_500_000_000, 6),
        Op::file("d/sibling", "s"),
        Op::utimes("d/sibling", 1_500_000_000, 7),
        Op::utimes("d", 1_500_000_000, 8),
        Op::utimes("", 1_500_000_000, 9),
    ];
    let oracle = cx.directory("oracle")?;
    all(&oracle, &base)?;
    let view = child_of(cx, &base)?;
    // The time of the file is set again, so that only what copying up may have touched can differ.
    let write = [Op::append("d/f", "!"), Op::utimes("d/f", 1_500_000_001, 0)];
    all(&oracle, &write)?;
    all(view.path(), &write)?;
    equal(&Manifest::scan(&oracle)?, view.path())?;
    let changes: Vec<_> = cx.driver().changes(view.id())?.iter().map(ToString::to_string).collect();
    ensure!(changes == ["C /d/f"], "the changes are {changes:?}");
    Ok(view.close()?)
}

fn copy_up_deep(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir_mode("a", 0o700),
                Op::mkdir_mode("a/b", 0o1777),
                Op::mkdir_mode("a/b/c", 0o2711),
                Op::mkdir("a/b/c/d"),
                Op::file("a/b/c/d/f", "x"),
                Op::file("a/b/c/g", "y"),
                Op::utimes("a/b", 3, 4),
            ],
            &[Op::append("a/b/c/d/f", "!")],
            &[Op::chmod("a/b/c/g", 0o600)],
        ],
    )
}

fn rename_chain(cx: &Context<'_>) -> Verdict {
    let names: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    let base: Vec<Op> = names.iter().map(|name| Op::file(name, &**name)).collect();
    let mut ops = vec![];
    for _ in 0..3 {
        ops.push(Op::rename("f7", "spare"));
        ops.extend((0..7).rev().map(|n| Op::rename(format!("f{n}"), format!("f{}", n + 1))));
        ops.push(Op::rename("spare", "f0"));
    }
    Stack::check(cx, &[&base, &ops, &ops])
}

fn rename_kinds(cx: &Context<'_>) -> Verdict {
    let base = [
        Op::file("file", "x"),
        Op::mkdir("empty"),
        Op::mkdir("full"),
        Op::file("full/f", "y"),
        Op::symlink("file", "link"),
    ];
    let view = child_of(cx, &base)?;
    all(view.path(), &[Op::mkdir("own"), Op::file("own/f", "z"), Op::file("own-file", "w")])?;
    let attempts = [
        (Op::rename("file", "empty"), Errno::ISDIR),
        (Op::rename("own-file", "full"), Errno::ISDIR),
        (Op::rename("own", "file"), Errno::NOTDIR),
        (Op::rename("own", "full"), Errno::NOTEMPTY),
        (Op::rename("own", "own/inside"), Errno::INVAL),
        (Op::rename("absent", "file"), Errno::NOENT),
        (Op::rename("file", "absent/f"), Errno::NOENT),
        (Op::rename("file", "link/f"), Errno::NOTDIR),
        (Op::remove("full"), Errno::NOTEMPTY),
        (Op::mkdir("full"), Errno::EXIST),
        (Op::link("full", "full2"), Errno::PERM),
        (Op::link("file", "full"), Errno::EXIST),
    ];
    for (op, expected) in attempts {
        match execute(view.path(), &op) {
            Err(error) if error.raw_os_error() == Some(expected.raw_os_error()) => {}
            // A symlink on the way: this suite's own walk stops there, in whichever way.
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {}
            answer => return Err(Stop::failed(format!("{op:?}: expected {expected:?}, got {answer:?}"))),
        }
    }
    all(view.path(), &[Op::rename("own", "empty"), Op::rename("file", "link")])?;
    ensure!(fs::read(view.path().join("empty/f"))? == b"z", "a directory renamed over an empty one lost its file");
    Ok(view.close()?)
}

fn directory_reading(cx: &Context<'_>) -> Verdict {
    let base: Vec<Op> = (0..50).map(|n| Op::file(format!("f{n:02}"), "x")).collect();
    let view = child_of(cx, &base)?;
    let directory = fs::read_dir(view.path())?;
    let mut ops: Vec<Op> = (0..25).map(|n| Op::remove(format!("f{n:02}"))).collect();
    ops.extend((50..60).map(|n| Op::file(format!("f{n:02}"), "y")));
    ops.extend((25..30).map(|n| Op::append(format!("f{n:02}"), "z")));
    all(view.path(), &ops)?;
    let mut during: Vec<_> = directory.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    let count = during.len();
    during.sort();
    during.dedup();
    ensure!(during.len() == count, "a name is listed twice in a directory that changes");
    let mut after: Vec<_> =
        fs::read_dir(view.path())?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    after.sort();
    let expected: Vec<_> = (25..60).map(|n| std::ffi::OsString::from(format!("f{n:02}"))).collect();
    ensure!(after == expected, "listed are {after:?}");
    Ok(view.close()?)
}

fn rmdir_whiteouts(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::mkdir("d"), Op::file("d/f", "x"), Op::mkdir("d/e"), Op::file("d/e/g", "y")],
            &[Op::remove("d/f"), Op::remove("d/e/g"), Op::remove("d/e"), Op::remove("d")],
            &[Op::mkdir("d"), Op::file("d/f", "anew")],
        ],
    )
}

fn exchange(cx: &Context<'_>) -> Verdict {
    use rustix::fs::{CWD, RenameFlags};
    let view = child_of(cx, &[Op::file("a", "A"), Op::file("b", "B")])?;
    let (a, b) = (view.path().join("a"), view.path().join("b"));
    rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE)?;
    ensure!(fs::read(&a)? == b"B" && fs::read(&b)? == b"A", "the files did not change places");
    let refused = rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::NOREPLACE);
    ensure!(refused == Err(Errno::EXIST), "a rename that must not replace gave {refused:?}");
    view.close()?;
    Ok(())
}

fn statfs_has_room(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[])?;
    let stat = rustix::fs::statvfs(view.path())?;
    ensure!(stat.f_blocks > 0 && stat.f_bavail > 0, "statfs tells {} blocks, {} free", stat.f_blocks, stat.f_bavail);
    Ok(view.close()?)
}

fn parent_stays(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed(
        "base",
        None,
        &[
            Op::mkdir("d"),
            Op::file("d/f", Data::Random { seed: 1, len: 100_000 }),
            Op::file("g", "x"),
            Op::symlink("g", "l"),
        ],
    )?;
    let view = cx.read(&base)?;
    let before = Manifest::scan(view.path())?;
    view.close()?;
    let (one, two) = (cx.create("one", Some(&base))?, cx.create("two", Some(&base))?);
    let (first, second) = (driver.mount(&one, MountMode::ReadWrite)?, driver.mount(&two, MountMode::ReadWrite)?);
    all(
        first.path(),
        &[
            Op::overwrite("d/f", 50_000, "one"),
            Op::remove("g"),
            Op::chmod("d", 0o700),
            Op::mkdir("new"),
            Op::remove("l"),
            Op::xattr("d/f", "user.x", "y"),
        ],
    )?;
    equal(&before, second.path())?;
    let below = cx.read(&base)?;
    equal(&before, below.path())?;
    all(second.path(), &[Op::overwrite("d/f", 50_000, "two")])?;
    let mut at = [0; 3];
    File::open(first.path().join("d/f"))?.read_exact_at(&mut at, 50_000)?;
    ensure!(&at == b"one", "one layer shows what its sibling wrote");
    equal(&before, below.path())?;
    for view in [first, second, below] {
        view.close()?;
    }
    Ok(())
}

fn execute_program(cx: &Context<'_>) -> Verdict {
    let view = child_of(cx, &[Op::file_mode("script", "#!/bin/sh\necho from the parent\n", 0o755)])?;
    let say = |path: &str| -> Verdict<String> {
        let output = std::process::Command::new(view.path().join(path)).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ensure!(say("script")? == "from the parent\n", "the parent's script did not run");
    all(view.path(), &[Op::overwrite("script", 10, "echo from the  child\n")])?;
    ensure!(say("script")? == "from the child\n", "the changed script did not run");
    Ok(view.close()?)
}
