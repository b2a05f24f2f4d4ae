//! The cases of containerd's `core/snapshots/testsuite`, in the terms of our trait: an active snapshot is a writable
//! layer, a committed one is sealed, a view is a sealed layer mounted read-only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    thread::sleep,
    time::Duration,
};

use storage_driver::{CreateOptions, Error, Labels, LayerInfo, LayerState, MountMode};

use crate::{
    Context, Op, Stack, Verdict,
    case::cases,
    context::id,
    verdict::{ensure, ensure_error},
};

cases! { "snapshotter";
    "basic" = basic: "prepare, write, commit, prepare on it, commit, view; parents and states are right at every step";
    "stat-active" = stat_active: "a writable layer tells its id, parent and state";
    "stat-committed" = stat_committed: "a sealed layer tells its id, parent and state";
    "transitivity" = transitivity: "a chain of three is told parent by parent";
    "prepare-view-failing" = prepare_view_failing: "an id that is taken is refused, whatever has it";
    "update" = update: "labels are replaced as a whole; the creation time stays and the update time moves";
    "remove" = remove: "an id can be used again after its layer was removed, sealed or not";
    "walk" = walk: "the list can be filtered by every field";
    "layer-file-update" = layer_file_update: "edits of the same size and of the mode alone are seen, time after time";
    "remove-directory-in-lower-layer" = remove_directory: "a directory removed and made again hides the old content, for ever";
    "chown" = chown [Owners]: "owners of a nested tree change, and of single files in it";
    "directory-permission-on-commit" = directory_permission [Owners]: "owners survive chown, removal and remaking over three layers";
    "remove-intermediate" = remove_intermediate: "a layer with children is kept; top-down removal works";
    "deleted-files-in-child" = deleted_files: "what is deleted stays so through an empty layer";
    "move-file-from-lower-layer" = move_file: "a file of a lower layer is made anew, linked and deleted";
    "view-readonly" = view_readonly: "the kernel refuses writes to a read-only mount";
    "stat-in-walk" = stat_in_walk: "layers can be looked up while the list is worked on";
    "close-twice" = close_twice: "shutting down twice is fine";
    "root-permission" = root_permission: "the root of every layer has mode 0755";
    "rename" = rename: "files and directories are renamed, over others too";
    "128-layers-mount" = layers_128: "128 layers of overwriting, adding, removing and remaking look like one directory";
}

fn basic(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.changed("base", None, &[Op::file("foo", "foo\n"), Op::mkdir("a"), Op::mkdir("a/b")])?;
    ensure!(driver.stat(&base)?.state == LayerState::Writable, "a new layer is not writable");
    driver.seal(&base)?;
    let info = driver.stat(&base)?;
    ensure!(info.state == LayerState::Sealed && info.parent.is_none(), "the sealed base is {info:?}");

    let next = cx.create("next", Some(&base))?;
    let view = driver.mount(&next, MountMode::ReadWrite)?;
    ensure!(fs::read(view.path().join("foo"))? == b"foo\n", "the child does not show its parent's file");
    crate::context::all(view.path(), &[Op::file("bar", "bar\n"), Op::remove_all("a/b")])?;
    view.close()?;
    ensure!(driver.stat(&next)?.parent.as_ref() == Some(&base), "the child's parent is wrong");
    driver.seal(&next)?;

    let listed = driver.list()?;
    for info in &listed {
        ensure!(*info == driver.stat(&info.id)?, "list and stat tell different things of {}", info.id);
    }
    ensure!(listed.len() == 2, "{} layers are listed", listed.len());
    let view = cx.read(&next)?;
    ensure!(fs::read(view.path().join("bar"))? == b"bar\n", "the view lacks the child's file");
    ensure!(fs::read(view.path().join("foo"))? == b"foo\n", "the view lacks the parent's file");
    ensure!(!view.path().join("a/b").exists(), "the view shows a removed directory");
    view.close()?;
    ensure_error!(driver.remove(&base), Error::HasChildren { .. }, "removing a parent");
    driver.remove(&next)?;
    driver.remove(&base)?;
    ensure!(driver.list()?.is_empty(), "layers are listed after they were removed");
    Ok(())
}

fn stat_active(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[])?;
    let active = cx.create("active", Some(&base))?;
    check(&cx.driver().stat(&active)?, "active", Some("base"), LayerState::Writable)
}

fn stat_committed(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[])?;
    let committed = cx.sealed("committed", Some(&base), &[])?;
    check(&cx.driver().stat(&committed)?, "committed", Some("base"), LayerState::Sealed)
}

fn check(info: &LayerInfo, id: &str, parent: Option<&str>, state: LayerState) -> Verdict {
    let found_parent = info.parent.as_ref().map(storage_driver::LayerId::as_str);
    ensure!(
        info.id.as_str() == id && found_parent == parent && info.state == state,
        "expected {id} on {parent:?}, {state:?}; found {info:?}"
    );
    Ok(())
}

fn transitivity(cx: &Context<'_>) -> Verdict {
    let a = cx.sealed("a", None, &[Op::file("a", "a")])?;
    let b = cx.sealed("b", Some(&a), &[Op::file("b", "b")])?;
    cx.create("c", Some(&b))?;
    let driver = cx.driver();
    check(&driver.stat(&id("c"))?, "c", Some("b"), LayerState::Writable)?;
    check(&driver.stat(&b)?, "b", Some("a"), LayerState::Sealed)?;
    check(&driver.stat(&a)?, "a", None, LayerState::Sealed)
}

fn prepare_view_failing(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("f", "kept")])?;
    cx.create("writable", Some(&base))?;
    for taken in ["base", "writable"] {
        for parent in [None, Some(&base)] {
            let again = driver.create(&id(taken), parent, &CreateOptions::default());
            ensure_error!(again, Error::Exists { .. }, format!("creating {taken} again"));
        }
    }
    let view = cx.read(&base)?;
    ensure!(fs::read(view.path().join("f"))? == b"kept", "a refused creation changed the layer");
    Ok(view.close()?)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn update(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = id("labelled");
    let first = labels(&[("one", "1"), ("two", "2")]);
    driver.create(&layer, None, &CreateOptions { labels: first.clone(), ..Default::default() })?;
    let created = driver.stat(&layer)?;
    ensure!(created.labels == first, "the labels given at creation are {:?}", created.labels);
    ensure!(created.created == created.updated, "a new layer was updated at another time than it was created");
    for sealed in [false, true] {
        if sealed {
            driver.seal(&layer)?;
        }
        let before = driver.stat(&layer)?;
        for new in
            [labels(&[("one", "other"), ("unicode", "ü\n\"'\\")]), labels(&[("long", &"x".repeat(4096))]), labels(&[])]
        {
            sleep(Duration::from_millis(2));
            driver.set_labels(&layer, &new)?;
            let info = driver.stat(&layer)?;
            ensure!(info.labels == new, "set {new:?}, found {:?}", info.labels);
            ensure!(info.created == created.created, "setting labels moved the creation time");
            ensure!(info.updated > before.updated, "setting labels did not move the update time");
        }
    }
    ensure_error!(driver.set_labels(&id("absent"), &first), Error::NotFound { .. }, "labels of an absent layer");
    Ok(())
}

fn remove(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    for (round, sealed) in [false, true, false].into_iter().enumerate() {
        let name = format!("file-{round}");
        let layer = cx.changed("reused", None, &[Op::file(&name, "x")])?;
        if sealed {
            driver.seal(&layer)?;
        }
        let view = driver.mount(&layer, if sealed { MountMode::ReadOnly } else { MountMode::ReadWrite })?;
        let names: Vec<_> = fs::read_dir(view.path())?.map(|e| Ok(e?.file_name())).collect::<io::Result<_>>()?;
        ensure!(names == [&*name], "round {round} shows {names:?}");
        view.close()?;
        driver.remove(&layer)?;
        ensure_error!(driver.stat(&layer), Error::NotFound { .. }, "stat of a removed layer");
        ensure_error!(driver.remove(&layer), Error::NotFound { .. }, "removing a layer twice");
    }
    Ok(())
}

fn walk(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let make = |name: &str, parent: Option<&str>, seal: bool, pairs: &[(&str, &str)]| -> Verdict {
        let options = CreateOptions { labels: labels(pairs), ..Default::default() };
        driver.create(&id(name), parent.map(id).as_ref(), &options)?;
        if seal {
            driver.seal(&id(name))?;
        }
        Ok(())
    };
    make("a-a", None, true, &[("key", "x"), ("name", "a")])?;
    make("a-b", Some("a-a"), true, &[("key", "y")])?;
    make("b-a", Some("a-a"), true, &[("key", "x")])?;
    make("z-base", None, true, &[])?;
    make("c-a", Some("z-base"), false, &[("key", "x")])?;
    make("c-b", Some("a-b"), false, &[])?;
    make("d-a", Some("b-a"), false, &[("name", "a")])?;
    make("d-b", None, false, &[("key", "y"), ("name", "b")])?;

    let all = driver.list()?;
    let place: BTreeMap<_, _> = all.iter().enumerate().map(|(place, info)| (info.id.as_str(), place)).collect();
    for info in &all {
        if let Some(parent) = &info.parent {
            ensure!(
                place[parent.as_str()] < place[info.id.as_str()],
                "{} is listed before its parent {parent}",
                info.id
            );
        }
    }
    let select = |filter: &dyn Fn(&LayerInfo) -> bool| -> BTreeSet<String> {
        all.iter().filter(|info| filter(info)).map(|info| info.id.to_string()).collect()
    };
    let label = |name: &'static str, value: &'static str| {
        move |info: &LayerInfo| info.labels.get(name).is_some_and(|found| found == value)
    };
    type Filter<'a> = (&'a dyn Fn(&LayerInfo) -> bool, &'a [&'a str]);
    let filters: [Filter<'_>; 10] = [
        (&|_| true, &["a-a", "a-b", "b-a", "z-base", "c-a", "c-b", "d-a", "d-b"]),
        (&|info| info.id.as_str() == "a-b", &["a-b"]),
        (&|info| info.id.as_str().starts_with("a-"), &["a-a", "a-b"]),
        (&|info| info.parent == Some(id("a-a")), &["a-b", "b-a"]),
        (&|info| info.parent.is_none(), &["a-a", "z-base", "d-b"]),
        (&|info| info.state == LayerState::Sealed, &["a-a", "a-b", "b-a", "z-base"]),
        (&|info| info.state == LayerState::Writable, &["c-a", "c-b", "d-a", "d-b"]),
        (&label("key", "x"), &["a-a", "b-a", "c-a"]),
        (&|info| label("key", "x")(info) && info.state == LayerState::Writable, &["c-a"]),
        (&|info| label("key", "y")(info) || label("name", "a")(info), &["a-b", "d-b", "a-a", "d-a"]),
    ];
    for (number, (filter, expected)) in filters.into_iter().enumerate() {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let found = select(filter);
        ensure!(found == expected, "filter {number}: expected {expected:?}, found {found:?}");
    }
    Ok(())
}

/// docker#21555: an edit that keeps the size, within the second of the last, was lost.
fn layer_file_update(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::file("file1", "hello 0"), Op::file_mode("file2", "constant", 0o600)])?;
    let mut parent = base;
    for round in 1..=5u32 {
        let ops = [Op::overwrite("file1", 6, &*round.to_string()), Op::chmod("file2", 0o600 + round)];
        let layer = cx.changed(&format!("round-{round}"), Some(&parent), &ops)?;
        let changes = driver.changes(&layer)?;
        let modified: Vec<_> = changes.iter().map(ToString::to_string).collect();
        ensure!(modified == ["C /file1", "C /file2"], "round {round} lists {modified:?}");
        driver.seal(&layer)?;
        let view = cx.read(&layer)?;
        let content = fs::read_to_string(view.path().join("file1"))?;
        ensure!(content == format!("hello {round}"), "round {round} shows {content:?}");
        let mode = fs::metadata(view.path().join("file2"))?.mode() & 0o777;
        ensure!(mode == 0o600 + round, "round {round} shows mode {mode:o}");
        view.close()?;

        let mut tar = vec![];
        driver.diff(&layer, &mut tar)?;
        let sibling = cx.create(&format!("sibling-{round}"), Some(&parent))?;
        driver.apply(&sibling, &mut &*tar)?;
        let view = driver.mount(&sibling, MountMode::ReadWrite)?;
        let content = fs::read_to_string(view.path().join("file1"))?;
        ensure!(content == format!("hello {round}"), "round {round} travelled as {content:?}");
        view.close()?;
        parent = layer;
    }
    Ok(())
}

/// docker#25244: the old content came back.
fn remove_directory(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::mkdir("dir1"), Op::file("dir1/f1", "111"), Op::mkdir("dir1/sub"), Op::file("dir1/sub/f", "x")],
            &[Op::remove_all("dir1"), Op::mkdir("dir1"), Op::file("dir1/f2", "222")],
            &[Op::file("dir1/f3", "333")],
            &[Op::remove_all("dir1")],
            &[Op::mkdir("dir1"), Op::mkdir("dir1/sub")],
        ],
    )
}

/// docker#20240, #24913, #28391.
fn chown(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("opt"),
                Op::mkdir("opt/a"),
                Op::mkdir("opt/a/b"),
                Op::file("opt/a/b/file.txt", "hello"),
                Op::file("opt/a/other", "there"),
            ],
            &[
                Op::chown("opt", 1, 1),
                Op::chown("opt/a", 1, 1),
                Op::chown("opt/a/b", 1, 1),
                Op::chown("opt/a/b/file.txt", 1, 1),
            ],
            &[Op::chown("opt/a/b/file.txt", 2, 3)],
            &[Op::chown("opt/a/other", 60000, 60000), Op::chown("opt/a", 0, 0)],
        ],
    )
}

/// docker#27298.
fn directory_permission(cx: &Context<'_>) -> Verdict {
    let names = ["dir1", "dir2", "dir3", "dir4", "dir5"];
    let mut first = vec![];
    for name in names {
        first.extend([Op::mkdir_mode(name, 0o700), Op::file(format!("{name}/f"), "x"), Op::chown(name, 1, 1)]);
    }
    Stack::check(
        cx,
        &[
            &first,
            &[
                Op::remove_all("dir1"),
                Op::mkdir("dir1"),
                Op::chown("dir1", 1, 2),
                Op::remove_all("dir2"),
                Op::mkdir("dir2"),
                Op::remove_all("dir3"),
                Op::chown("dir4", 2, 2),
                Op::chown("dir5", 5, 5),
                Op::chmod("dir5", 0o755),
            ],
            &[
                Op::file("dir1/new", "y"),
                Op::chown("dir2", 3, 3),
                Op::mkdir_mode("dir3", 0o711),
                Op::chown("dir3", 7, 7),
                Op::remove_all("dir4"),
                Op::mkdir("dir4"),
                Op::file("dir5/new", "y"),
            ],
        ],
    )
}

fn remove_intermediate(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let a = cx.sealed("a", None, &[Op::file("a", "a")])?;
    let b = cx.sealed("b", Some(&a), &[Op::file("b", "b")])?;
    let c = cx.sealed("c", Some(&b), &[Op::file("c", "c")])?;
    let top = cx.create("top", Some(&c))?;
    for layer in [&a, &b, &c] {
        ensure_error!(driver.remove(layer), Error::HasChildren { .. }, format!("removing {layer}"));
    }
    let view = driver.mount(&top, MountMode::ReadWrite)?;
    for name in ["a", "b", "c"] {
        ensure!(view.path().join(name).exists(), "{name} is gone after a refused removal");
    }
    view.close()?;
    for layer in [&top, &c, &b, &a] {
        driver.remove(layer)?;
    }
    Ok(())
}

fn deleted_files(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::mkdir("foo"), Op::file("foo/bar", "x"), Op::file("keep", "y"), Op::symlink("keep", "link")],
            &[Op::remove("foo/bar"), Op::remove("link")],
            &[],
            &[Op::file("foo/other", "z")],
        ],
    )
}

fn move_file(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::mkdir("dir1"), Op::mkdir("dir2"), Op::file_mode("dir1/f1", "contents", 0o644)],
            &[Op::file("dir2/f1", "contents"), Op::link("dir2/f1", "dir2/f1-link"), Op::remove("dir1/f1")],
            &[Op::link("dir2/f1", "dir1/f1"), Op::remove("dir2/f1"), Op::remove("dir2/f1-link")],
        ],
    )
}

fn view_readonly(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "x")])?;
    let top = cx.sealed("top", Some(&base), &[Op::file("g", "y")])?;
    for layer in [&base, &top] {
        let view = cx.read(layer)?;
        let attempts = [
            Op::file("new", "x"),
            Op::append("d/f", "x"),
            Op::chmod("d/f", 0o600),
            Op::remove("d/f"),
            Op::utimes("d", 0, 0),
            Op::mkdir("d2"),
            Op::rename("d/f", "d/h"),
            Op::xattr("d/f", "user.x", "y"),
            Op::chmod("", 0o700),
        ];
        for op in &attempts {
            let answer = crate::op::execute(view.path(), op);
            let refused = matches!(&answer, Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem);
            ensure!(refused, "{op:?} on a read-only mount of {layer}: {answer:?}");
        }
        view.close()?;
    }
    Ok(())
}

fn stat_in_walk(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[])?;
    cx.create("child", Some(&base))?;
    for info in driver.list()? {
        driver.stat(&info.id)?;
        driver.usage(&info.id)?;
    }
    Ok(())
}

fn close_twice(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.create("layer", None)?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    ensure_error!(driver.shutdown(), Error::InUse { .. }, "shutdown while a layer is mounted");
    view.close()?;
    driver.shutdown()?;
    Ok(driver.shutdown()?)
}

fn root_permission(cx: &Context<'_>) -> Verdict {
    let mut parent = None;
    for name in ["one", "two", "three"] {
        let layer = cx.create(name, parent.as_ref())?;
        let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
        let mode = fs::metadata(view.path())?.mode() & 0o7777;
        ensure!(mode == 0o755, "the root of {name} has mode {mode:o}");
        view.close()?;
        cx.driver().seal(&layer)?;
        parent = Some(layer);
    }
    Ok(())
}

/// docker#25409; containerd drops the part with directories of lower layers for its overlay snapshotter.
fn rename(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("dir1"),
                Op::mkdir("dir1/sub"),
                Op::file("dir1/f", "1"),
                Op::file("dir1/sub/g", "2"),
                Op::mkdir("somefiles"),
                Op::file("somefiles/f1", "was here first!"),
                Op::file("somefiles/f2", "nothing"),
                Op::mkdir("empty"),
            ],
            &[
                Op::rename("somefiles/f2", "somefiles/f1"),
                Op::file("somefiles/f2", "again"),
                Op::rename("dir1", "dir2"),
            ],
            &[
                Op::mkdir("fresh"),
                Op::file("fresh/x", "y"),
                Op::rename("fresh", "moved"),
                Op::rename("moved", "empty"),
                Op::rename("somefiles/f2", "renamed"),
            ],
            &[Op::rename("empty", "full-again"), Op::rename("renamed", "somefiles/f2")],
        ],
    )
}

fn layers_128(cx: &Context<'_>) -> Verdict {
    let mut stack = Stack::new(cx)?;
    stack.layer_unchecked(&[
        Op::file("bottom", "way at the bottom\n"),
        Op::file("overwriteme", "FIRST!\n"),
        Op::mkdir("addhere"),
        Op::mkdir("onlyme"),
        Op::file("onlyme/bottom", "bye!\n"),
    ])?;
    for n in 1..=125 {
        let number = n.to_string();
        let ops = [
            Op::truncate("overwriteme", 0),
            Op::append("overwriteme", &*number),
            Op::file(format!("addhere/file-{n}"), "same\n"),
            Op::remove_all("onlyme"),
            Op::mkdir("onlyme"),
            Op::file(format!("onlyme/file-{n}"), "only me!\n"),
        ];
        stack.layer_unchecked(&ops)?;
    }
    stack.layer(&[Op::file("last", "x")])
}
