//! Ways to reach and change files that programs rely on.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
};

use rustix::{
    fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};
use storage_sys::mmap::Mapping;

use super::{Cell, features, words, yes_if};
use crate::{Context, Op, Verdict, context::all, keeps::files::child_of};

features! {
    "a read descriptor shows a later write" = fresh_descriptor;
    "a read mapping shows a later write" = fresh_mapping;
    "files without a name (O_TMPFILE), which then get one" = temporary_files;
    "two names change places (RENAME_EXCHANGE)" = exchange;
    "direct I/O (O_DIRECT)" = direct;
    "holes are made by fallocate(2)" = punch;
    "copies share blocks (FICLONE)" = reflink;
    "copies of the parent's files share blocks (FICLONE)" = reflink_of_parent;
}

fn unsupported(error: Errno) -> Cell {
    Cell::No(words(&error))
}

fn fresh_descriptor(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "old")])?;
    let mut before = File::open(view.path().join("f"))?;
    all(view.path(), &[Op::overwrite("f", 0, "new")])?;
    let mut content = String::new();
    before.read_to_string(&mut content)?;
    drop(before);
    view.close()?;
    Ok(yes_if(content == "new", "what was opened before the first write shows the old content"))
}

fn fresh_mapping(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "old")])?;
    // A private mapping shows the file's pages until it writes to them itself.
    let mapping = Mapping::private(File::open(view.path().join("f"))?, 3)?;
    all(view.path(), &[Op::overwrite("f", 0, "new")])?;
    let shown = mapping.read(0, 3);
    drop(mapping);
    view.close()?;
    Ok(yes_if(shown == b"new", "what was mapped before the first write shows the old content"))
}

fn temporary_files(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[])?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY;
    let linked = rustix::fs::open(view.path(), flags, Mode::RUSR).and_then(|file| {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        rustix::fs::linkat(CWD, path, CWD, view.path().join("named"), AtFlags::SYMLINK_FOLLOW)
    });
    view.close()?;
    Ok(linked.map_or_else(unsupported, |()| Cell::Yes))
}

fn exchange(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("a", "1"), Op::file("b", "2")])?;
    let (a, b) = (view.path().join("a"), view.path().join("b"));
    let exchanged = rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
    let content = fs::read(a)?;
    view.close()?;
    Ok(exchanged.map_or_else(unsupported, |()| yes_if(content == b"2", "nothing happens")))
}

fn direct(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "content")])?;
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).write(true).custom_flags(direct).open(view.path().join("f"));
    let answer = opened.map(drop);
    view.close()?;
    Ok(answer.map_or_else(|error| Cell::No(words(&error)), |()| Cell::Yes))
}

fn punch(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", crate::Data::Random { seed: 1, len: 1 << 20 })])?;
    let file = OpenOptions::new().write(true).read(true).open(view.path().join("f"))?;
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let punched = rustix::fs::fallocate(&file, how, 65_536, 65_536);
    let mut there = [1; 16];
    file.read_exact_at(&mut there, 65_536)?;
    drop(file);
    view.close()?;
    Ok(punched.map_or_else(unsupported, |()| yes_if(there == [0; 16], "nothing happens")))
}

fn reflink(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[])?;
    all(view.path(), &[Op::file("f", crate::Data::Random { seed: 1, len: 1 << 20 })])?;
    clone_of(view)
}

fn reflink_of_parent(cx: &Context<'_>) -> Verdict<Cell> {
    clone_of(child_of(cx, &[Op::file("f", crate::Data::Random { seed: 1, len: 1 << 20 })])?)
}

fn clone_of(view: storage_driver::MountedLayer) -> Verdict<Cell> {
    let from = File::open(view.path().join("f"))?;
    from.sync_all()?;
    let mut to = File::create(view.path().join("copy"))?;
    let cloned = rustix::fs::ioctl_ficlone(&to, &from);
    to.flush()?;
    drop((from, to));
    view.close()?;
    Ok(cloned.map_or_else(unsupported, |()| Cell::Yes))
}
