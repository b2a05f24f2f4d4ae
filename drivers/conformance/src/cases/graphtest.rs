//! The cases of moby's `daemon/graphdriver/graphtest`, which moby runs on some of its drivers only.

use std::{fs, io, os::unix::fs::MetadataExt};

use storage_driver::{Bytes, Change, ChangeKind, CreateOptions, MountMode};

use crate::{Context, Data, Op, Stack, Verdict, case::cases, context::id, verdict::ensure};

cases! { "graphtest";
    "create-empty" = create_empty: "a new layer without a parent is an empty directory, 0:0, mode 0755";
    "create-base" = create_base [Owners]: "owner, mode, sticky and setuid bits are kept whatever the umask";
    "create-snap" = create_snap [Owners]: "a child shows what its parent holds";
    "deep-layer-read-128" = deep_layer_read: "128 layers that all write one file show the topmost, and what only the bottom has";
    "diff-apply-10" = diff_apply_10: "ten changed files and two removals travel as a diff";
    "diff-apply-100" = diff_apply_100: "a hundred changed files and two removals travel as a diff";
    "changes" = changes: "every third of 20 files modified, added, deleted: exactly that is listed";
    "set-quota" = set_quota [SizeLimit]: "a layer limited to 50 MiB takes 25 MiB and refuses 50 MiB more";
}

fn create_empty(cx: &Context<'_>) -> Verdict {
    let layer = cx.create("empty", None)?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    let stat = fs::symlink_metadata(view.path())?;
    ensure!(stat.is_dir(), "the root is no directory");
    ensure!(
        (stat.mode() & 0o7777, stat.uid(), stat.gid()) == (0o755, 0, 0),
        "the root has mode {:o} and owner {}:{}",
        stat.mode() & 0o7777,
        stat.uid(),
        stat.gid()
    );
    let names: Vec<_> = fs::read_dir(view.path())?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    ensure!(names.is_empty(), "the new layer holds {names:?}");
    ensure!(view.path().is_absolute(), "the mount's path {} is not absolute", view.path().display());
    Ok(view.close()?)
}

fn base() -> [Op; 4] {
    [
        Op::mkdir_mode("a subdir", 0o705 | 0o1000),
        Op::chown("a subdir", 1, 2),
        Op::file_mode("a file", "", 0o222),
        Op::chmod("a file", 0o222 | 0o4000),
    ]
}

fn create_base(cx: &Context<'_>) -> Verdict {
    Stack::check(cx, &[&base()])
}

fn create_snap(cx: &Context<'_>) -> Verdict {
    Stack::check(cx, &[&base(), &[]])
}

fn deep_layer_read(cx: &Context<'_>) -> Verdict {
    let mut parent = cx.sealed("bottom", None, &[Op::file("bottom-file", "hello"), Op::file("top-id", "0")])?;
    for depth in 1..128 {
        let top = [Op::truncate("top-id", 0), Op::append("top-id", &*depth.to_string())];
        parent = cx.sealed(&format!("layer-{depth}"), Some(&parent), &top)?;
    }
    let view = cx.read(&parent)?;
    ensure!(fs::read(view.path().join("bottom-file"))? == b"hello", "the bottom's file is not what it was");
    let top = fs::read_to_string(view.path().join("top-id"))?;
    ensure!(top == "127", "the topmost layer's file is {top:?}");
    view.close()?;
    let mut steps = 0;
    let mut at = Some(parent);
    while let Some(layer) = at {
        at = cx.driver().stat(&layer)?.parent;
        steps += 1;
    }
    ensure!(steps == 128, "the chain has {steps} layers");
    Ok(())
}

fn many_files(count: usize, seed: u64) -> impl Iterator<Item = (String, Data)> {
    (0..count).map(move |n| (format!("file-{n}"), Data::Random { seed: seed + n as u64, len: 64 }))
}

fn diff_apply(cx: &Context<'_>, count: usize) -> Verdict {
    let mut base: Vec<Op> = many_files(count, 3).map(|(path, data)| Op::file(path, data)).collect();
    base.extend([Op::file("deletefile", "x"), Op::mkdir("deletedir"), Op::file("deletedir/f", "y")]);
    let mut upper: Vec<Op> = many_files(count, 6).map(|(path, data)| Op::overwrite(path, 0, data)).collect();
    upper.extend([Op::remove("deletefile"), Op::remove_all("deletedir")]);
    Stack::check(cx, &[&base, &upper])
}

fn diff_apply_10(cx: &Context<'_>) -> Verdict {
    diff_apply(cx, 10)
}

fn diff_apply_100(cx: &Context<'_>) -> Verdict {
    diff_apply(cx, 100)
}

fn changes(cx: &Context<'_>) -> Verdict {
    let mut base = vec![Op::mkdir("d")];
    base.extend((0..20).map(|n| Op::file(format!("d/file-{n}"), "0123456789")));
    let base = cx.sealed("base", None, &base)?;
    let mut ops = vec![];
    let mut expected = vec![Change::new(ChangeKind::Modified, "d")];
    for n in 0..20 {
        let path = format!("d/file-{n}");
        let (op, change) = match n % 3 {
            0 => (Op::overwrite(&path, 3, "XYZ"), Change::new(ChangeKind::Modified, path)),
            1 => {
                let new = format!("d/file-{}", n + 100);
                (Op::file(&new, "new"), Change::new(ChangeKind::Added, new))
            }
            _ => (Op::remove(&path), Change::new(ChangeKind::Deleted, path)),
        };
        ops.push(op);
        expected.push(change);
    }
    expected.sort();
    let upper = cx.changed("upper", Some(&base), &ops)?;
    let found = cx.driver().changes(&upper)?;
    ensure!(found == expected, "expected {expected:?}, found {found:?}");
    Ok(())
}

fn set_quota(cx: &Context<'_>) -> Verdict {
    const MIB: usize = 1 << 20;
    let base = cx.sealed("base", None, &[Op::file("f", "x")])?;
    let limited = id("limited");
    let options = CreateOptions { size: Some(Bytes(50 << 20)), ..Default::default() };
    cx.driver().create(&limited, Some(&base), &options)?;
    let view = cx.driver().mount(&limited, MountMode::ReadWrite)?;
    let write = |name: &str, len| fs::write(view.path().join(name), Data::Random { seed: 1, len }.to_bytes());
    write("small", 25 * MIB)?;
    match write("big", 50 * MIB) {
        Err(error) if matches!(error.kind(), io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(crate::Stop::failed("75 MiB went into a layer limited to 50 MiB")),
    }
    Ok(view.close()?)
}
