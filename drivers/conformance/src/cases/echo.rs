//! The cases that containers/storage has beyond graphtest.

use std::{collections::BTreeSet, path::PathBuf};

use storage_driver::CreateOptions;

use crate::{Context, Op, Stack, Verdict, case::cases, context::id, verdict::ensure};

cases! { "storage";
    "echo" = echo: "a path removed in one layer and built again in the next, at depths 0 to 9, gives exact change lists";
    "create-from-template" = from_template: "a layer made from another's diff has no change against it and its changes against the base";
    "list-layers" = list_layers: "exactly the layers that were made are listed";
}

/// `d0/d1/.../dN`.
fn nested(depth: usize) -> PathBuf {
    (0..=depth).map(|level| format!("d{level}")).collect()
}

fn echo(cx: &Context<'_>) -> Verdict {
    const DEEPEST: usize = 9;
    for depth in 0..=DEEPEST {
        let driver = cx.driver();
        let mut base = vec![];
        for level in 0..=DEEPEST {
            base.push(Op::mkdir(nested(level)));
        }
        base.push(Op::file(nested(DEEPEST).join("file"), "bottom"));
        let base = cx.sealed(&format!("base-{depth}"), None, &base)?;

        let removed = nested(depth);
        let second = cx.sealed(&format!("removed-{depth}"), Some(&base), &[Op::remove_all(&removed)])?;
        let ancestors = || (0..depth).map(|level| format!("C /{}", nested(level).display()));
        // Only the directory that lost an entry changed; those above it did not.
        let parent = ancestors().next_back();
        let expected: Vec<String> = parent.iter().cloned().chain([format!("D /{}", removed.display())]).collect();
        let found: Vec<_> = driver.changes(&second)?.iter().map(ToString::to_string).collect();
        ensure!(found == expected, "removal at depth {depth}: expected {expected:?}, found {found:?}");

        // Within one tick of the kernel's clock the directory's time would not move.
        std::thread::sleep(std::time::Duration::from_millis(10));
        let mut rebuilt = vec![];
        for level in depth..=DEEPEST {
            rebuilt.push(Op::mkdir(nested(level)));
        }
        rebuilt.push(Op::file(nested(DEEPEST).join("other"), "top"));
        let third = cx.sealed(&format!("rebuilt-{depth}"), Some(&second), &rebuilt)?;
        let added = (depth..=DEEPEST).map(|level| format!("A /{}", nested(level).display()));
        let file = format!("A /{}", nested(DEEPEST).join("other").display());
        let expected: Vec<String> = parent.into_iter().chain(added).chain([file]).collect();
        let found: Vec<_> = driver.changes(&third)?.iter().map(ToString::to_string).collect();
        ensure!(found == expected, "rebuilding at depth {depth}: expected {expected:?}, found {found:?}");
        let view = cx.read(&third)?;
        let stale = view.path().join(nested(DEEPEST)).join("file").exists();
        ensure!(!stale, "the bottom's file came back through depth {depth}");
        view.close()?;
        for layer in [&third, &second, &base] {
            driver.remove(layer)?;
        }
    }
    let deep: Vec<Op> = (0..=DEEPEST).map(|level| Op::mkdir(nested(level))).collect();
    Stack::check(
        cx,
        &[
            &deep,
            &[Op::remove_all(nested(4))],
            &deep[4..],
            &[Op::remove_all(nested(2)), Op::mkdir(nested(2)), Op::mkdir(nested(3)), Op::file(nested(4), "a file now")],
            &[Op::remove_all("d0")],
            &deep,
        ],
    )
}

fn from_template(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::file("d/f", "1"), Op::file("g", "2")])?;
    let template =
        cx.sealed("template", Some(&base), &[Op::append("d/f", "3"), Op::remove("g"), Op::file("h", "4")])?;
    let mut tar = vec![];
    driver.diff(&template, &mut tar)?;
    for sealed in [false, true] {
        let copy = cx.create(&format!("copy-{sealed}"), Some(&base))?;
        driver.apply(&copy, &mut &*tar)?;
        if sealed {
            driver.seal(&copy)?;
        }
        let (expected, found) = (driver.changes(&template)?, driver.changes(&copy)?);
        ensure!(found == expected, "expected {expected:?} against the base, found {found:?}");
        let mut again = vec![];
        driver.diff(&copy, &mut again)?;
        ensure!(again == tar, "the copy (sealed: {sealed}) differs from its template");
    }
    let on_template = cx.create("on-template", Some(&template))?;
    let changes = driver.changes(&on_template)?;
    ensure!(changes.is_empty(), "a fresh layer on the template differs from it: {changes:?}");
    let mut empty = vec![];
    let stats = driver.diff(&on_template, &mut empty)?;
    ensure!(stats.entries == 0 && stats.content.get() == 0, "its diff holds {} entries", stats.entries);
    Ok(())
}

fn list_layers(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    ensure!(driver.list()?.is_empty(), "a fresh root lists layers");
    let mut expected = BTreeSet::new();
    for name in ["b", "a", "x.y_z-0", "0"] {
        cx.create(name, None)?;
        expected.insert(id(name));
    }
    let long = "l".repeat(128);
    cx.sealed(&long, None, &[])?;
    driver.create(&id("child"), Some(&id(&long)), &CreateOptions::default())?;
    expected.extend([id(&long), id("child")]);
    let found: Vec<_> = driver.list()?.into_iter().map(|info| info.id).collect();
    ensure!(found.iter().cloned().collect::<BTreeSet<_>>() == expected, "expected {expected:?}, found {found:?}");
    ensure!(found.len() == expected.len(), "a layer is listed twice: {found:?}");
    driver.remove(&id("a"))?;
    ensure!(driver.list()?.iter().all(|info| info.id.as_str() != "a"), "a removed layer is listed");
    Ok(())
}
