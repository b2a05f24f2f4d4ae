//! Layers as tars: what is in them, and tars from elsewhere.

use std::{fs, io::Write};

use storage_driver::{Error, MountMode};
use storage_layer::{DigestWriter, Manifest};

use super::tars::TarWriter;
use crate::{
    Clock, Context, Op, Origins, Pair, Verdict,
    case::cases,
    expectation::transferred,
    verdict::{ensure, ensure_error},
};

cases! { "transfer";
    "foreign-tar" = foreign_tar: "a tar of another tool is laid out: dot-slash names, missing directories, no directory entries";
    "whiteouts-anywhere" = whiteouts_anywhere: "whiteouts hide the parent's files wherever they stand in the tar, never the tar's own";
    "through-symlink" = through_symlink: "an entry below a symlink to a directory of the parent goes into that directory";
    "replaced-kinds" = replaced_kinds: "entries replace the parent's files of other kinds";
    "same-name-twice" = same_name_twice: "the last entry of a name counts";
    "diff-id" = diff_id: "apply tells the SHA-256 of the tar and how much it read";
    "diff-of-mounted" = diff_of_mounted: "the diff of a layer that is mounted read-write has what was written";
    "diff-refused-by-sink" = diff_sink: "an error of the sink is an error of the diff, and nothing stays mounted";
    "apply-refused-by-source" = apply_source: "an error of the source is an error of apply, and the layer can be removed";
    "apply-twice" = apply_twice: "a second tar is laid over the first";
    "apply-states" = apply_states: "apply refuses sealed, mounted and absent layers";
    "long-exchange" = long_exchange: "a layer goes to another driver and back, and is the same";
    "implied-parents" = implied_parents: "diff and apply agree when only a file deep below is new";
}

fn names(root: &std::path::Path) -> Verdict<Vec<String>> {
    let manifest = Manifest::scan(root)?;
    let names = manifest.entries.keys().filter(|path| !path.is_empty());
    Ok(names.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

fn foreign_tar(cx: &Context<'_>) -> Verdict {
    let tar = TarWriter::default()
        .directory("./")
        .file("./etc/passwd", "root")
        .directory("usr/bin/")
        .file("/absolute/file", "x")
        .file("usr//bin/./tool", "y")
        .symlink("bin", "usr/bin")
        .hard_link("usr/bin/again", "./usr/bin/tool")
        .finish();
    let layer = cx.create("layer", None)?;
    cx.driver().apply(&layer, &mut &*tar)?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    let found = names(view.path())?;
    let expected =
        ["absolute", "absolute/file", "bin", "etc", "etc/passwd", "usr", "usr/bin", "usr/bin/again", "usr/bin/tool"];
    ensure!(found == expected, "the layer holds {found:?}");
    Ok(view.close()?)
}

/// moby#17819: an opaque mark that came late deleted what the same layer had written.
fn whiteouts_anywhere(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed(
        "base",
        None,
        &[
            Op::mkdir("d"),
            Op::file("d/old", "x"),
            Op::mkdir("d/sub"),
            Op::file("d/sub/old", "y"),
            Op::file("gone", "z"),
            Op::file("replaced", "old"),
            Op::mkdir("tree"),
            Op::file("tree/f", "w"),
            Op::mkdir("kept"),
            Op::file("kept/f", "v"),
        ],
    )?;
    let tar = TarWriter::default;
    let variants = [
        (
            "marks first",
            tar()
                .file(".wh.gone", "")
                .file(".wh.replaced", "")
                .file(".wh.tree", "")
                .directory("d")
                .file("d/.wh..wh..opq", "")
                .file("d/new", "1")
                .directory("d/sub")
                .file("d/sub/new", "2")
                .file("replaced", "3")
                .finish(),
        ),
        (
            "marks last",
            tar()
                .directory("d")
                .file("d/new", "1")
                .directory("d/sub")
                .file("d/sub/new", "2")
                .file("replaced", "3")
                .file("d/.wh..wh..opq", "")
                .file(".wh.gone", "")
                .file(".wh.replaced", "")
                .file(".wh.tree", "")
                .finish(),
        ),
        (
            "marks between, and one for what is not there",
            tar()
                .file("d/new", "1")
                .file("d/.wh..wh..opq", "")
                .file("d/sub/new", "2")
                .file(".wh.absent", "")
                .file(".wh.gone", "")
                .file("replaced", "3")
                .file(".wh.replaced", "")
                .file("tree/.wh.f", "")
                .file(".wh.tree", "")
                .finish(),
        ),
    ];
    for (what, tar) in variants {
        let layer = cx.fresh_id("layer");
        driver.create(&layer, Some(&base), &Default::default())?;
        driver.apply(&layer, &mut &*tar)?;
        let view = driver.mount(&layer, MountMode::ReadWrite)?;
        let found = names(view.path())?;
        let expected = ["d", "d/new", "d/sub", "d/sub/new", "kept", "kept/f", "replaced"];
        ensure!(found == expected, "{what}: the layer shows {found:?}");
        ensure!(fs::read(view.path().join("replaced"))? == b"3", "{what}: the replaced file has its old content");
        view.close()?;
    }
    Ok(())
}

fn through_symlink(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed(
        "base",
        None,
        &[
            Op::mkdir("usr"),
            Op::mkdir("usr/bin"),
            Op::file("usr/bin/old", "x"),
            Op::file("usr/bin/gone", "x"),
            Op::symlink("usr/bin", "bin"),
            Op::symlink("/usr", "absolute"),
        ],
    )?;
    let tar = TarWriter::default()
        .file("bin/new", "y")
        .file("absolute/bin/other", "z")
        .file("bin/.wh.gone", "")
        .hard_link("bin/linked", "bin/old")
        .finish();
    let layer = cx.create("layer", Some(&base))?;
    driver.apply(&layer, &mut &*tar)?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let found = names(view.path())?;
    let expected =
        ["absolute", "bin", "usr", "usr/bin", "usr/bin/linked", "usr/bin/new", "usr/bin/old", "usr/bin/other"];
    ensure!(found == expected, "the layer shows {found:?}");
    ensure!(view.path().join("bin").is_symlink(), "the parent's symlink was replaced");
    Ok(view.close()?)
}

fn replaced_kinds(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed(
        "base",
        None,
        &[
            Op::file("file", "x"),
            Op::mkdir("dir"),
            Op::file("dir/f", "y"),
            Op::symlink("dir", "link"),
            Op::file("other", "z"),
            Op::mkdir("kept"),
            Op::file("kept/f", "w"),
        ],
    )?;
    let tar = TarWriter::default()
        .directory("file")
        .file("file/inside", "1")
        .file("dir", "2")
        .directory("link")
        .file("link/inside", "3")
        .symlink("other", "file")
        .directory("kept")
        .finish();
    let layer = cx.create("layer", Some(&base))?;
    driver.apply(&layer, &mut &*tar)?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let found = names(view.path())?;
    // A directory entry over a symlink: OCI says that entries replace what has their name.
    let expected = ["dir", "file", "file/inside", "kept", "kept/f", "link", "link/inside", "other"];
    ensure!(found == expected, "the layer shows {found:?}");
    ensure!(view.path().join("other").is_symlink(), "the symlink did not replace the file");
    Ok(view.close()?)
}

fn same_name_twice(cx: &Context<'_>) -> Verdict {
    let tar = TarWriter::default()
        .file("f", "first, and longer")
        .file("g", "x")
        .hard_link("h", "g")
        .file("f", "second")
        .file("g", "y")
        .finish();
    let layer = cx.create("layer", None)?;
    cx.driver().apply(&layer, &mut &*tar)?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    ensure!(fs::read(view.path().join("f"))? == b"second", "the first entry won");
    ensure!(fs::read(view.path().join("h"))? == b"x", "a later file was written through a hard link");
    Ok(view.close()?)
}

fn diff_id(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("f", "content"), Op::mkdir("d")])?;
    let mut out = DigestWriter::new(vec![]);
    let written = driver.diff(&base, &mut out)?;
    let (tar, digest, count) = out.finish();
    ensure!(written.size == count, "diff wrote {} bytes and says {}", count.get(), written.size.get());
    let copy = cx.create("copy", None)?;
    // One byte at a time, as a slow network may.
    struct Trickle<'a>(&'a [u8]);
    impl std::io::Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }
    let read = driver.apply(&copy, &mut Trickle(&tar))?;
    ensure!(read.diff_id == *digest.as_bytes(), "apply tells another digest than the tar has");
    ensure!(read.size == count, "apply read {} bytes and says {}", count.get(), read.size.get());
    ensure!(read.entries == written.entries, "diff wrote {} entries, apply read {}", written.entries, read.entries);
    ensure!(
        read.content == written.content && read.content.get() == 7,
        "the content is 7 bytes; diff says {}, apply {}",
        written.content.get(),
        read.content.get()
    );
    Ok(())
}

fn diff_of_mounted(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("f", "old")])?;
    for mode in [MountMode::ReadWrite, MountMode::ReadOnly] {
        let layer = cx.changed(&format!("layer-{mode:?}"), Some(&base), &[Op::file("before", "x")])?;
        let view = driver.mount(&layer, mode)?;
        let mut expected = vec!["A /before"];
        if mode == MountMode::ReadWrite {
            crate::context::all(view.path(), &[Op::file("during", "y"), Op::remove("f")])?;
            expected.extend(["A /during", "D /f"]);
        }
        let changes: Vec<_> = driver.changes(&layer)?.iter().map(ToString::to_string).collect();
        ensure!(changes == expected, "mounted {mode:?}, the changes are {changes:?}");
        let mut tar = vec![];
        driver.diff(&layer, &mut tar)?;
        driver.usage(&layer)?;
        let entries = expected.len() as u64;
        let sibling = cx.create(&format!("sibling-{mode:?}"), Some(&base))?;
        let applied = driver.apply(&sibling, &mut &*tar)?.entries;
        ensure!(applied == entries, "mounted {mode:?}, the diff has {applied} entries");
        ensure!(view.path().join("before").exists(), "looking at the layer unmounted it");
        view.close()?;
    }
    Ok(())
}

fn diff_sink(cx: &Context<'_>) -> Verdict {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let base = cx.sealed("base", None, &[Op::file("f", crate::Data::Random { seed: 1, len: 300_000 })])?;
    let layer = cx.sealed("layer", Some(&base), &[Op::append("f", "x")])?;
    for room in [0, 100, 600, 150_000] {
        let answer = cx.driver().diff(&layer, &mut Full(room));
        match answer {
            Err(error) if error.is_no_space() => {}
            other => return Err(crate::Stop::failed(format!("a sink with room for {room} bytes: {other:?}"))),
        }
    }
    cx.driver().shutdown()?;
    Ok(())
}

fn apply_source(cx: &Context<'_>) -> Verdict {
    struct Dies<'a>(&'a [u8]);
    impl std::io::Read for Dies<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("the network is gone")),
                read => Ok(read),
            }
        }
    }
    let driver = cx.driver();
    let tar = TarWriter::default().file("f", "x").file("g", &"y".repeat(10_000)).finish();
    for len in [0, 100, 700, 5000] {
        let layer = cx.fresh_id("layer");
        driver.create(&layer, None, &Default::default())?;
        let answer = driver.apply(&layer, &mut Dies(&tar[..len]));
        let text = answer.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(text.contains("the network is gone"), "after {len} bytes the error is {text:?}");
        driver.remove(&layer)?;
    }
    Ok(())
}

fn apply_twice(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    let first = TarWriter::default().file("a", "1").file("b", "2").directory("d").file("d/f", "3").finish();
    let second =
        TarWriter::default().file("b", "4").file(".wh.a", "").file("d/.wh..wh..opq", "").file("d/g", "5").finish();
    driver.apply(&layer, &mut &*first)?;
    driver.apply(&layer, &mut &*second)?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let found = names(view.path())?;
    ensure!(found == ["b", "d", "d/g"], "the layer holds {found:?}");
    ensure!(fs::read(view.path().join("b"))? == b"4", "the second tar's file did not win");
    Ok(view.close()?)
}

fn apply_states(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let tar = TarWriter::default().file("f", "x").finish();
    let sealed = cx.sealed("sealed", None, &[])?;
    ensure_error!(driver.apply(&sealed, &mut &*tar), Error::Sealed { .. }, "apply to a sealed layer");
    let layer = cx.create("layer", None)?;
    for mode in [MountMode::ReadWrite, MountMode::ReadOnly] {
        let view = driver.mount(&layer, mode)?;
        ensure_error!(
            driver.apply(&layer, &mut &*tar),
            Error::InUse { .. },
            format!("apply to a layer mounted {mode:?}")
        );
        view.close()?;
    }
    let absent = crate::context::id("absent");
    ensure_error!(driver.apply(&absent, &mut &*tar), Error::NotFound { .. }, "apply to an absent layer");
    ensure_error!(driver.diff(&absent, &mut vec![]), Error::NotFound { .. }, "diff of an absent layer");
    ensure_error!(driver.changes(&absent), Error::NotFound { .. }, "changes of an absent layer");
    driver.apply(&layer, &mut &*tar)?;
    Ok(())
}

fn long_exchange(cx: &Context<'_>) -> Verdict {
    let (driver, peer) = (cx.driver(), cx.peer()?);
    let oracle = cx.directory("oracle")?;
    let layers: [&[Op]; 2] = [
        &[Op::mkdir("d"), Op::file("d/f", "1"), Op::link("d/f", "g"), Op::symlink("g", "l"), Op::fifo("p")],
        &[Op::remove("d/f"), Op::file("d/h", "2"), Op::chmod("p", 0o600), Op::remove("l"), Op::mkdir("l")],
    ];
    let (mut clock, mut there, mut back) = (Clock::new(), None, None);
    let mut parent = None;
    for (number, ops) in layers.into_iter().enumerate() {
        let id = cx.create(&format!("original-{number}"), parent.as_ref())?;
        let view = driver.mount(&id, MountMode::ReadWrite)?;
        let deviations = driver.capabilities().deviations.clone();
        let pair = Pair { layer: view.path(), oracle: &oracle, deviations: &deviations };
        let mut origins = Origins::of(&Manifest::scan(&oracle)?);
        _ = pair.apply(&clock.stamp("".as_ref()), &mut origins, &mut clock)?;
        for op in ops {
            pair.apply(op, &mut origins, &mut clock)??;
        }
        view.close()?;
        driver.seal(&id)?;
        let mut tar = vec![];
        driver.diff(&id, &mut tar)?;
        let away = crate::context::id(&format!("away-{number}"));
        peer.create(&away, there.as_ref(), &Default::default())?;
        peer.apply(&away, &mut &*tar)?;
        peer.seal(&away)?;
        let mut returned = vec![];
        peer.diff(&away, &mut returned)?;
        ensure!(returned == tar, "layer {number} came back from {} with other bytes", peer.name());
        let home = cx.create(&format!("home-{number}"), back.as_ref())?;
        driver.apply(&home, &mut &*returned)?;
        driver.seal(&home)?;
        (there, back, parent) = (Some(away), Some(home), Some(id));
    }
    let expected = Manifest::scan(&oracle)?;
    let (parent, back, there) = (parent.as_ref(), back.as_ref(), there.as_ref());
    let views = [parent.map(|id| cx.read(id)), back.map(|id| cx.read(id))];
    let away = there.map(|id| Ok(peer.mount(id, MountMode::ReadOnly)?));
    for view in views.into_iter().chain([away]).flatten() {
        let view = view?;
        transferred(&expected, &Manifest::scan(view.path())?)?;
        view.close()?;
    }
    Ok(())
}

fn implied_parents(cx: &Context<'_>) -> Verdict {
    crate::Stack::check(
        cx,
        &[
            &[
                Op::mkdir_mode("a", 0o701),
                Op::mkdir_mode("a/b", 0o702),
                Op::mkdir_mode("a/b/c", 0o704),
                Op::file("a/b/c/f", "x"),
            ],
            &[Op::overwrite("a/b/c/f", 0, "y")],
            &[Op::remove("a/b/c/f")],
            &[Op::file("a/b/c/g", "z")],
        ],
    )
}
