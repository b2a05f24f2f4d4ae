//! Files, their kinds, names and numbers.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
};

use storage_driver::{MountMode, MountedLayer};

use super::{Cell, features, words, yes_if};
use crate::{Context, Op, Verdict, context::all, holes, op::execute};

features! {
    "holes in files" = holes_in_files;
    "holes, when a sparse file of the parent is written to" = holes_after_write;
    "hard links within a layer" = links_within;
    "hard links across layers: a write under one name shows under the other" = links_across;
    "inode numbers, when a file of the parent is written to" = inodes;
    "one device number for the whole tree" = device_number;
    "inode numbers, when the layer is mounted again" = inodes_after_remount;
    "rename of the parent's directories" = rename_directory;
    "device nodes" = device_nodes;
    "character devices 0:0, which overlayfs uses as whiteouts" = whiteout_device;
    "named pipes" = fifos;
    "sockets' names" = sockets;
}

/// A writable child of a layer that `ops` made, mounted.
pub fn child_of(cx: &Context<'_>, ops: &[Op]) -> Verdict<MountedLayer> {
    let base = cx.sealed("base", None, ops)?;
    let layer = cx.create("layer", Some(&base))?;
    Ok(cx.driver().mount(&layer, MountMode::ReadWrite)?)
}

const END: u64 = 8 << 20;

fn has_hole(path: &Path) -> Verdict<bool> {
    Ok(holes::next_hole(&File::open(path)?, 0)? < END)
}

fn holes_in_files(cx: &Context<'_>) -> Verdict<Cell> {
    let layer = cx.sealed("layer", None, &[Op::file("f", "start"), Op::overwrite("f", END, "end")])?;
    let view = cx.read(&layer)?;
    let kept = has_hole(&view.path().join("f"))?;
    view.close()?;
    Ok(yes_if(kept, "they are filled with zeros"))
}

fn holes_after_write(cx: &Context<'_>) -> Verdict<Cell> {
    // The first hole begins and ends within a megabyte.
    let ops = [Op::file("f", "start"), Op::overwrite("f", 128 << 10, "middle"), Op::overwrite("f", END, "end")];
    let view = child_of(cx, &ops)?;
    all(view.path(), &[Op::append("f", "more")])?;
    let first = holes::next_hole(&File::open(view.path().join("f"))?, 0)?;
    view.close()?;
    Ok(match first {
        first if first < 128 << 10 => Cell::Yes,
        first if first < END => Cell::No("holes shorter than a megabyte are filled with zeros".to_owned()),
        _ => Cell::No("they are filled with zeros".to_owned()),
    })
}

fn links_within(cx: &Context<'_>) -> Verdict<Cell> {
    let layer = cx.sealed("layer", None, &[Op::file("a", "x"), Op::link("a", "b")])?;
    let view = cx.read(&layer)?;
    let inode = |name| -> Verdict<u64> { Ok(fs::metadata(view.path().join(name))?.ino()) };
    let same = inode("a")? == inode("b")?;
    view.close()?;
    Ok(yes_if(same, "they become files of their own"))
}

fn links_across(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("a", "old"), Op::link("a", "b")])?;
    all(view.path(), &[Op::overwrite("a", 0, "new")])?;
    let other = fs::read(view.path().join("b"))?;
    view.close()?;
    Ok(yes_if(other == b"new", "the first write to one name breaks the link"))
}

fn inodes(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "old")])?;
    let number = || fs::metadata(view.path().join("f")).map(|about| (about.dev(), about.ino()));
    let before = number()?;
    all(view.path(), &[Op::append("f", "more")])?;
    let after = number()?;
    view.close()?;
    Ok(yes_if(before == after, "the number changes"))
}

fn device_number(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("of-parent", "x"), Op::mkdir("d"), Op::file("d/f", "x")])?;
    all(view.path(), &[Op::file("own", "x")])?;
    let device = |name| -> Verdict<u64> { Ok(fs::metadata(view.path().join(name))?.dev()) };
    let root = device("")?;
    let same = [device("of-parent")?, device("d")?, device("d/f")?, device("own")?].iter().all(|other| *other == root);
    view.close()?;
    Ok(yes_if(same, "find -xdev would stop within the layer"))
}

fn inodes_after_remount(cx: &Context<'_>) -> Verdict<Cell> {
    let base = cx.sealed("base", None, &[Op::file("f", "x"), Op::mkdir("d")])?;
    let layer = cx.changed("layer", Some(&base), &[Op::file("own", "x"), Op::append("f", "more")])?;
    let numbers = || -> Verdict<Vec<u64>> {
        let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
        let number = |name: &str| -> Verdict<u64> { Ok(fs::metadata(view.path().join(name))?.ino()) };
        let found = vec![number("f")?, number("d")?, number("own")?];
        view.close()?;
        Ok(found)
    };
    let (first, second) = (numbers()?, numbers()?);
    Ok(yes_if(first == second, "the numbers change"))
}

fn rename_directory(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::mkdir("d"), Op::file("d/f", "x")])?;
    let answer = execute(view.path(), &Op::rename("d", "e"));
    view.close()?;
    Ok(match answer {
        Ok(()) => Cell::Yes,
        Err(error) => Cell::No(format!("{}; programs such as mv(1) then copy", words(&error))),
    })
}

/// Makes it in the parent, and looks for it in a child.
fn node(cx: &Context<'_>, op: &Op) -> Verdict<Cell> {
    let base = cx.create("base", None)?;
    let view = cx.driver().mount(&base, MountMode::ReadWrite)?;
    let made = execute(view.path(), op);
    view.close()?;
    if let Err(error) = made {
        return Ok(Cell::No(format!("it cannot be made: {}", words(&error))));
    }
    cx.driver().seal(&base)?;
    let layer = cx.create("layer", Some(&base))?;
    let view = cx.read(&layer)?;
    let there = fs::symlink_metadata(view.path().join("node")).is_ok();
    view.close()?;
    Ok(yes_if(there, "it is not shown in the next layer"))
}

fn device_nodes(cx: &Context<'_>) -> Verdict<Cell> {
    node(cx, &Op::character("node", 1, 3))
}

fn whiteout_device(cx: &Context<'_>) -> Verdict<Cell> {
    node(cx, &Op::character("node", 0, 0))
}

fn fifos(cx: &Context<'_>) -> Verdict<Cell> {
    node(cx, &Op::fifo("node"))
}

fn sockets(cx: &Context<'_>) -> Verdict<Cell> {
    node(cx, &Op::socket("node"))
}
