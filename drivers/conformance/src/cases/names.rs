//! Odd names.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use crate::{Context, Op, Stack, Stop, Verdict, case::cases, context::all, expectation::equal, verdict::ensure};
use storage_layer::Manifest;

cases! { "names";
    "odd" = odd: "names with any byte but slash and NUL are kept: not UTF-8, newlines, dashes, dots, spaces";
    "long" = long: "names of 255 bytes and paths beyond every field of a tar header are kept";
    "case" = case: "names that differ in case or in normalisation only are different";
    "deep" = deep: "a path of more than a thousand bytes is kept, changed and removed";
    "many" = many: "a directory of a thousand files is kept; some of them are removed";
    "whiteout-like" = whiteout_like: "real files whose names look like whiteouts are kept by the driver and never lost silently by a diff";
    "driver-like" = driver_like: "names that a driver may use for itself are free to the layer";
}

fn bytes(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

fn odd_names() -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = [
        &b"not\xff\xfeutf8"[..],
        b"new\nline",
        b"-rf",
        b"--",
        b" ",
        b"trailing ",
        b"...",
        b"tab\there",
        b"back\\slash",
        b"quo\"te'",
        b"star*?[x]",
        b"a=b",
        b"17 path=evil",
        b"colon:comma,semi;",
        b"$HOME",
        b"~",
        b"#",
        b"%s%n",
        b"\x01\x7f",
        b".hidden",
        b"caf\xc3\xa9",
    ]
    .into_iter()
    .map(bytes)
    .collect();
    names.push("@LongLink".into());
    names
}

fn odd(cx: &Context<'_>) -> Verdict {
    let (mut first, mut second) = (vec![], vec![]);
    for (number, name) in odd_names().into_iter().enumerate() {
        let directory = PathBuf::from("d").join(&name);
        let inside = directory.join("inside");
        first.extend([Op::file(&name, &*number.to_string()), Op::mkdir(&directory), Op::file(&inside, "x")]);
        first.push(Op::symlink(&name, PathBuf::from("links").join(&name)));
        second.push(match number % 3 {
            0 => Op::remove(&name),
            1 => Op::append(&name, "more"),
            _ => Op::remove_all(&directory),
        });
    }
    first.insert(0, Op::mkdir("d"));
    first.insert(0, Op::mkdir("links"));
    Stack::check(cx, &[&first, &second])
}

fn long(cx: &Context<'_>) -> Verdict {
    let mut first = vec![];
    let mut second = vec![];
    // 99 to 101: a tar header's name; 155 and 156: its prefix; 251: as long as a whiteout can carry.
    for len in [99, 100, 101, 155, 156, 157, 251, 255] {
        let name = "n".repeat(len);
        first.extend([
            Op::file(&name, "x"),
            Op::mkdir(format!("D{}", &name[1..])),
            Op::symlink(&name, format!("s{}", &name[1..])),
            Op::link(&name, format!("h{}", &name[1..])),
        ]);
        // `.wh.` and the name must fit into 255 bytes for a deletion to be told in a layer tar.
        if len <= 251 {
            second.push(Op::remove(&name));
        }
        second.push(Op::file(format!("D{}/f", &name[1..]), "y"));
    }
    Stack::check(cx, &[&first, &second])
}

fn case(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::file("readme", "1"),
                Op::file("README", "2"),
                Op::file("caf\u{e9}", "3"),
                Op::file("cafe\u{301}", "4"),
            ],
            &[Op::remove("readme"), Op::append("caf\u{e9}", "5")],
        ],
    )
}

fn deep(cx: &Context<'_>) -> Verdict {
    let directories: Vec<PathBuf> =
        (1..=20).map(|depth| (0..depth).map(|level| format!("{level:02}-{}", "p".repeat(50))).collect()).collect();
    let bottom = directories[19].clone();
    let mut first: Vec<Op> = directories.iter().map(Op::mkdir).collect();
    first.extend([Op::file(bottom.join("f"), "x"), Op::link(bottom.join("f"), bottom.join("g"))]);
    Stack::check(
        cx,
        &[
            &first,
            &[Op::append(bottom.join("new-name").with_file_name("f"), "y"), Op::file(bottom.join("h"), "z")],
            &[Op::remove_all(&directories[10])],
        ],
    )
}

fn many(cx: &Context<'_>) -> Verdict {
    let mut first = vec![Op::mkdir("d")];
    first.extend((0..1000).map(|n| Op::file(format!("d/{n}"), "")));
    let second: Vec<Op> = (0..1000).step_by(40).map(|n| Op::remove(format!("d/{n}"))).collect();
    let mut stack = Stack::new(cx)?;
    stack.layer_unchecked(&first)?;
    stack.layer_unchecked(&second)
}

/// A layer tar cannot tell a file called `.wh.x` from the deletion of `x` (OCI image-spec, layer.md, "Whiteouts":
/// the prefix is reserved). So a mounted layer keeps such files like any other, and a diff either refuses, naming the
/// file, or says in its statistics that it left it out. What it must not do is export it as a deletion.
fn whiteout_like(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let oracle = cx.directory("oracle")?;
    let base = [Op::file("x", "must stay"), Op::mkdir("d"), Op::file("d/y", "must stay")];
    let stamp = |path: &str| Op::utimes(path, 1, 2);
    let stamps = ["x", "d/y", "d", ""].map(stamp);
    let bottom = cx.create("bottom", None)?;
    cx.change(&bottom, &[&base[..], &stamps].concat())?;
    driver.seal(&bottom)?;
    let names = [".wh.x", "d/.wh..wh..opq", ".wh..wh.plnk"];
    let mut ops: Vec<Op> = names.iter().map(|name| Op::file(*name, "a real file")).collect();
    ops.extend(names.map(stamp));
    ops.extend(stamps.clone());
    let top = cx.sealed("top", Some(&bottom), &ops)?;
    for ops in [&base[..], &stamps, &ops] {
        all(&oracle, ops)?;
    }
    let expected = Manifest::scan(&oracle)?;
    let view = cx.read(&top)?;
    equal(&expected, view.path())?;
    view.close()?;
    let above = cx.sealed("above", Some(&top), &[])?;
    let view = cx.read(&above)?;
    equal(&expected, view.path())?;
    view.close()?;

    let listed: Vec<_> = driver.changes(&top)?.into_iter().map(|change| change.path).collect();
    ensure!(names.iter().all(|name| listed.contains(&PathBuf::from(name))), "the changes are {listed:?}");
    let mut tar = vec![];
    match driver.diff(&top, &mut tar) {
        Err(error) if error.to_string().contains(".wh.") => {}
        Err(error) => return Err(Stop::failed(format!("diff refused without naming the file: {error}"))),
        Ok(stats) => {
            let told = |name: &&str| stats.skipped.iter().any(|skipped| skipped.path == PathBuf::from(name));
            ensure!(names.iter().all(told), "diff lost files without a word; it skipped {:?}", stats.skipped);
            let sibling = cx.create("sibling", Some(&bottom))?;
            driver.apply(&sibling, &mut &*tar)?;
            driver.seal(&sibling)?;
            let view = cx.read(&sibling)?;
            let kept = view.path().join("x").exists() && view.path().join("d/y").exists();
            ensure!(kept, "a file called .wh.x was exported as the deletion of x");
            view.close()?;
        }
    }
    Ok(())
}

fn driver_like(cx: &Context<'_>) -> Verdict {
    let names = [
        "lost+found",
        "layer.json",
        "diff",
        "merged",
        "work",
        "upper",
        "lower",
        "link",
        "rootfs",
        "staging",
        "trash",
        "lock",
    ];
    let first: Vec<Op> = names.iter().map(|name| Op::file(*name, "the layer's own")).collect();
    let second: Vec<Op> = names.iter().flat_map(|name| [Op::remove(*name), Op::mkdir(*name)]).collect();
    let third: Vec<Op> = names.iter().map(|name| Op::file(format!("{name}/f"), "x")).collect();
    Stack::check(cx, &[&first, &second, &third])
}
