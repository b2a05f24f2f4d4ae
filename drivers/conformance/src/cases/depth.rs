//! Long chains.

use std::fs;

use storage_driver::{CreateOptions, Error, LayerId, MountMode};

use crate::{Context, Op, Stop, Verdict, case::cases, context::id, verdict::ensure};

cases! { "depth";
    "deepest-chain" = deepest_chain: "a chain as long as the driver can mount shows what every layer holds, and one layer more is refused";
    "deep-deletion" = deep_deletion: "a file that is deleted and made again in every other of 60 layers";
}

/// The longest chain that is tried; the kernel's own limit for overlayfs (`OVL_MAX_STACK`).
const ENOUGH: u32 = 500;
/// For drivers that only space limits, and whose layers are all mounted in the same way.
const UNLIMITED: u32 = 128;

fn chain(cx: &Context<'_>, length: u32) -> Verdict<LayerId> {
    let driver = cx.driver();
    let mut parent: Option<LayerId> = None;
    for number in 0..length {
        let layer = id(&format!("layer-{number}"));
        driver.create(&layer, parent.as_ref(), &CreateOptions::default())?;
        // Most layers are made from a tar, which is faster than mounting each.
        let tar = super::tars::TarWriter::default()
            .file(&format!("of-{number}"), "x")
            .file("top", &number.to_string())
            .finish();
        driver.apply(&layer, &mut &*tar)?;
        driver.seal(&layer)?;
        parent = Some(layer);
    }
    parent.ok_or_else(|| Stop::failed("an empty chain was asked for"))
}

fn deepest_chain(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let limit = driver.capabilities().max_depth;
    let length = limit.unwrap_or(UNLIMITED).min(ENOUGH);
    ensure!(length >= 128, "the driver mounts {length} layers only");
    let below = chain(cx, length - 1)?;
    let top = cx.create("top", Some(&below))?;
    for mode in [MountMode::ReadWrite, MountMode::ReadOnly] {
        let view = driver.mount(&top, mode)?;
        for number in 0..length - 1 {
            ensure!(view.path().join(format!("of-{number}")).exists(), "the file of layer {number} is not shown");
        }
        let shown = fs::read_to_string(view.path().join("top"))?;
        ensure!(shown == (length - 2).to_string(), "the file that all layers have is that of layer {shown}");
        if mode == MountMode::ReadWrite {
            crate::context::all(view.path(), &[Op::append("of-0", "y"), Op::remove("of-1"), Op::file("of-1", "new")])?;
        }
        view.close()?;
    }
    let changes: Vec<_> = driver.changes(&top)?.iter().map(ToString::to_string).collect();
    ensure!(changes == ["C /of-0", "C /of-1"], "the changes are {changes:?}");
    match limit {
        Some(limit) if limit == length => one_more_is_refused(cx, &top, limit),
        _ => Ok(()),
    }
}

/// Refused when it is made, not when it is mounted.
fn one_more_is_refused(cx: &Context<'_>, top: &LayerId, limit: u32) -> Verdict {
    let driver = cx.driver();
    driver.seal(top)?;
    match driver.create(&id("one-more"), Some(top), &CreateOptions::default()) {
        Err(Error::TooDeep { depth, limit: told, .. }) => {
            ensure!(
                (depth, told) == (limit + 1, limit),
                "depth {depth} of {told} is told; it is {} of {limit}",
                limit + 1
            );
        }
        other => return Err(Stop::failed(format!("layer {} of {limit} gave {other:?}", limit + 1))),
    }
    ensure!(driver.stat(&id("one-more")).is_err(), "the refused layer is there");
    Ok(())
}

fn deep_deletion(cx: &Context<'_>) -> Verdict {
    let mut stack = crate::Stack::new(cx)?;
    stack.layer_unchecked(&[Op::mkdir("d"), Op::file("d/f", "0"), Op::mkdir("d/e"), Op::file("d/e/g", "0")])?;
    for number in 1..60 {
        let text = number.to_string();
        let ops = match number % 4 {
            1 => vec![Op::remove("d/f")],
            2 => vec![Op::file("d/f", &*text), Op::remove_all("d/e")],
            3 => vec![Op::mkdir("d/e"), Op::append("d/f", &*text)],
            _ => vec![
                Op::file("d/e/g", &*text),
                Op::remove_all("d"),
                Op::mkdir("d"),
                Op::file("d/f", &*text),
                Op::mkdir("d/e"),
            ],
        };
        stack.layer_unchecked(&ops)?;
    }
    stack.layer(&[Op::append("d/f", "end")])
}
