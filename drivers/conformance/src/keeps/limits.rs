//! How much, how deep, and at what cost.

use storage_driver::{Bytes, CreateOptions, Error, MountMode};

use super::{Cell, features};
use crate::{Context, Data, Op, Verdict, context::id, op::execute};

features! {
    "a layer's size can be limited" = size_limit;
    "layers in a chain" = longest_chain;
    "what the first write of one byte to a file of 1 MiB takes" = first_write;
    "what a new layer takes, on a parent of 8 MiB" = fresh_layer;
}

/// Enough for the smallest file system that a driver may make of it.
const LIMIT: u64 = 64 << 20;

fn size_limit(cx: &Context<'_>) -> Verdict<Cell> {
    let driver = cx.driver();
    let layer = id("limited");
    match driver.create(&layer, None, &CreateOptions { size: Some(Bytes(LIMIT)), ..Default::default() }) {
        Err(Error::Unsupported { why, .. }) => return Ok(Cell::No(without_path(&why))),
        other => other?,
    }
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let mut written = 0;
    let refused = loop {
        let file = Op::file(format!("f{written}"), Data::Random { seed: written, len: 4 << 20 });
        if let Err(error) = execute(view.path(), &file) {
            break Some(error);
        }
        written += 4 << 20;
        if written > 2 * LIMIT {
            break None;
        }
    };
    view.close()?;
    Ok(match refused {
        Some(_) => Cell::Yes,
        None => Cell::No("more than the limit can be written".to_owned()),
    })
}

/// A reason that begins with a path of this one run: `/a/b is on ext4: ...`.
fn without_path(why: &str) -> String {
    match why.split_once(" is on ") {
        Some((path, rest)) if path.starts_with('/') => format!("on {rest}"),
        _ => why.to_owned(),
    }
}

/// What docker's own images never exceed.
const DEEP: u32 = 128;

fn longest_chain(cx: &Context<'_>) -> Verdict<Cell> {
    let driver = cx.driver();
    let mut parent = None;
    for number in 0..=DEEP {
        let layer = id(&format!("layer-{number}"));
        match driver.create(&layer, parent.as_ref(), &CreateOptions::default()) {
            Err(Error::TooDeep { limit, .. }) => return Ok(Cell::Value(limit.to_string())),
            other => other?,
        }
        driver.seal(&layer)?;
        parent = Some(layer);
    }
    if let Some(top) = parent {
        driver.mount(&top, MountMode::ReadOnly)?.close()?;
    }
    Ok(Cell::Value(format!("more than {DEEP}")))
}

const FILE: usize = 1 << 20;

fn first_write(cx: &Context<'_>) -> Verdict<Cell> {
    let base = cx.sealed("base", None, &[Op::file("f", Data::Random { seed: 1, len: FILE })])?;
    let layer = cx.create("layer", Some(&base))?;
    let before = cx.driver().usage(&layer)?.exclusive;
    cx.change(&layer, &[Op::overwrite("f", (FILE / 2) as u64, "x")])?;
    let taken = cx.driver().usage(&layer)?.exclusive - before;
    // File systems round a little differently; what matters is the order.
    Ok(Cell::Value(match taken.get() {
        0..=4096 if before.get() >= FILE as u64 => "nothing: it was all copied when the layer was made".to_owned(),
        0..=131_072 => format!("blocks: {} KiB", taken.get() / 1024),
        taken if taken >= FILE as u64 => "the whole file".to_owned(),
        taken => format!("{} KiB", taken / 1024),
    }))
}

fn fresh_layer(cx: &Context<'_>) -> Verdict<Cell> {
    let base = cx.sealed("base", None, &[Op::file("f", Data::Random { seed: 1, len: 8 * FILE })])?;
    let layer = cx.create("layer", Some(&base))?;
    let taken = cx.driver().usage(&layer)?.exclusive.get();
    Ok(Cell::Value(match taken {
        taken if taken >= 8 * FILE as u64 => "the whole parent".to_owned(),
        taken => format!("{} KiB", taken.div_ceil(1024)),
    }))
}
