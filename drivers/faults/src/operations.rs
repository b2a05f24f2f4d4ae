//! The operations of the matrix.

use std::{io, path::Path};

use storage_driver::{Bytes, CreateOptions, Error, MountMode, Result, StorageDriver};
use storage_layer::Manifest;

use crate::{
    content::{Oracle, write_base, write_middle, write_next, write_work},
    operation::{Content, Fate, Operation, Shape, Start, id, labels, remove_if_there},
};

use Shape::{Absent, Sealed, Writable};

/// All operations.
#[must_use]
pub const fn operations() -> &'static [Operation] {
    OPERATIONS
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "open",
        about: "open a root for the first time",
        start: Start::Closed,
        prepare: nothing,
        act: nothing,
        back: nothing,
        fates: &[],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "recover",
        about: "open a root after a process was killed in create, in remove, and with layers mounted and held",
        start: Start::Crashed,
        prepare: |driver, _| {
            two_sealed(driver)?;
            layer(driver, "gone", Some("middle"), write_work)?;
            layer(driver, "work", Some("middle"), write_work)
        },
        act: nothing,
        back: nothing,
        fates: &[may_be_absent("lost", |oracle| &oracle.middle), may_be_absent("gone", |oracle| &oracle.work)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "create",
        about: "make a layer without a parent",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| create(driver, "fresh", None),
        back: nothing,
        fates: &[made("fresh", |oracle| &oracle.empty)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "create-on",
        about: "make a layer on a parent",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| create(driver, "fresh", Some("middle")),
        back: nothing,
        fates: &[made("fresh", |oracle| &oracle.middle)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "create-limited",
        about: "make a layer on a parent, with a limit to its size",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| {
            let options = CreateOptions { size: Some(Bytes(16 << 20)), ..CreateOptions::default() };
            driver.create(&id("fresh")?, Some(&id("middle")?), &options)
        },
        back: nothing,
        fates: &[made("fresh", |oracle| &oracle.middle)],
        limits: true,
        relabels: None,
    },
    Operation {
        name: "mount",
        about: "mount a layer, write, unmount",
        start: Start::Open,
        prepare: |driver, _| {
            two_sealed(driver)?;
            create(driver, "work", Some("middle"))
        },
        act: |driver, _| write(driver, "work", write_work),
        back: |driver, _| {
            remove_if_there(driver, "work")?;
            create(driver, "work", Some("middle"))
        },
        fates: &[changed("work", |oracle| &oracle.work)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "view",
        about: "mount a sealed layer, unmount",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| driver.mount(&id("middle")?, MountMode::ReadOnly)?.close(),
        back: nothing,
        fates: &[],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "hold",
        about: "mount a layer, hold the mount, give it up",
        start: Start::Open,
        prepare: with_work,
        act: |driver, _| driver.hold(driver.mount(&id("work")?, MountMode::ReadWrite)?)?.close(),
        back: nothing,
        fates: &[],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "apply",
        about: "lay a tar over an empty layer",
        start: Start::Open,
        prepare: |driver, _| create(driver, "fresh", None),
        act: |driver, oracle| driver.apply(&id("fresh")?, &mut &*oracle.base_tar).map(drop),
        back: |driver, _| {
            remove_if_there(driver, "fresh")?;
            create(driver, "fresh", None)
        },
        fates: &[changed("fresh", |oracle| &oracle.base)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "apply-on",
        about: "lay a tar with whiteouts over a layer with a parent",
        start: Start::Open,
        prepare: |driver, _| {
            two_sealed(driver)?;
            create(driver, "fresh", Some("base"))
        },
        act: |driver, oracle| driver.apply(&id("fresh")?, &mut &*oracle.middle_tar).map(drop),
        back: |driver, _| {
            remove_if_there(driver, "fresh")?;
            create(driver, "fresh", Some("base"))
        },
        fates: &[changed("fresh", |oracle| &oracle.middle)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "seal",
        about: "seal a layer that was written to",
        start: Start::Open,
        prepare: with_work,
        act: |driver, _| driver.seal(&id("work")?),
        back: nothing,
        fates: &[Fate {
            id: "work",
            crashed: &[Writable, Sealed],
            failed: &[Writable],
            done: &[Sealed],
            content: Content::Kept,
            durable: true,
        }],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "settle",
        about: "seal two layers later, and make them durable together",
        start: Start::Open,
        prepare: with_work,
        act: |driver, _| {
            driver.seal_later(&id("work")?)?;
            layer(driver, "next", Some("work"), write_next)?;
            driver.seal_later(&id("next")?)?;
            driver.settle()
        },
        back: |driver, _| {
            remove_if_there(driver, "next")?;
            remove_if_there(driver, "work")?;
            layer(driver, "work", Some("middle"), write_work)
        },
        fates: &[
            Fate {
                id: "work",
                crashed: &[Writable, Sealed],
                failed: &[Writable, Sealed],
                done: &[Sealed],
                content: Content::Becomes(|oracle| &oracle.work),
                durable: true,
            },
            Fate {
                id: "next",
                crashed: &[Absent, Writable, Sealed],
                failed: &[Absent, Writable, Sealed],
                done: &[Sealed],
                content: Content::Becomes(|oracle| &oracle.next),
                durable: true,
            },
        ],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "diff",
        about: "export a layer",
        start: Start::Open,
        prepare: with_work,
        act: |driver, _| {
            driver.diff(&id("middle")?, &mut io::sink())?;
            driver.diff(&id("work")?, &mut io::sink())?;
            driver.changes(&id("work")?)?;
            driver.usage(&id("work")?).map(drop)
        },
        back: nothing,
        fates: &[],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "labels",
        about: "replace a sealed layer's labels",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| driver.set_labels(&id("middle")?, &labels("new")),
        back: nothing,
        fates: &[],
        limits: false,
        relabels: Some("middle"),
    },
    Operation {
        name: "remove",
        about: "remove a layer that was written to",
        start: Start::Open,
        prepare: with_work,
        act: |driver, _| driver.remove(&id("work")?),
        back: nothing,
        fates: &[removed("work", &[Writable, Absent], &[Writable], false)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "remove-sealed",
        about: "remove a sealed layer",
        start: Start::Open,
        prepare: |driver, _| two_sealed(driver),
        act: |driver, _| driver.remove(&id("middle")?),
        back: nothing,
        fates: &[removed("middle", &[Sealed, Absent], &[Sealed], true)],
        limits: false,
        relabels: None,
    },
    Operation {
        name: "life",
        about: "open, make two layers on one another, read them, remove both",
        start: Start::Closed,
        prepare: |driver, _| two_sealed(driver),
        act: live,
        back: |driver, _| {
            remove_if_there(driver, "second")?;
            remove_if_there(driver, "first")
        },
        fates: &[
            Fate {
                id: "first",
                crashed: &[Absent, Writable, Sealed],
                failed: &[Absent, Writable, Sealed],
                done: &[Absent],
                content: Content::Becomes(|oracle| &oracle.base),
                durable: true,
            },
            Fate {
                id: "second",
                crashed: &[Absent, Writable],
                failed: &[Absent, Writable],
                done: &[Absent],
                content: Content::Becomes(|oracle| &oracle.middle),
                durable: false,
            },
        ],
        limits: false,
        relabels: None,
    },
];

const fn made(id: &'static str, content: fn(&Oracle) -> &Manifest) -> Fate {
    let content = Content::Is(content);
    Fate { id, crashed: &[Absent, Writable], failed: &[Absent], done: &[Writable], content, durable: false }
}

const fn changed(id: &'static str, content: fn(&Oracle) -> &Manifest) -> Fate {
    let content = Content::Becomes(content);
    Fate { id, crashed: &[Writable], failed: &[Writable], done: &[Writable], content, durable: false }
}

const fn removed(id: &'static str, crashed: &'static [Shape], failed: &'static [Shape], durable: bool) -> Fate {
    Fate { id, crashed, failed, done: &[Absent], content: Content::Kept, durable }
}

const fn may_be_absent(id: &'static str, content: fn(&Oracle) -> &Manifest) -> Fate {
    let shapes: &[Shape] = &[Absent, Writable];
    Fate { id, crashed: shapes, failed: shapes, done: shapes, content: Content::Is(content), durable: false }
}

fn nothing(_: &dyn StorageDriver, _: &Oracle) -> Result<()> {
    Ok(())
}

/// `base` and `middle`, sealed, as every operation but the first opening finds them.
fn two_sealed(driver: &dyn StorageDriver) -> Result<()> {
    layer(driver, "base", None, write_base)?;
    driver.seal(&id("base")?)?;
    layer(driver, "middle", Some("base"), write_middle)?;
    driver.set_labels(&id("middle")?, &labels("old"))?;
    driver.seal(&id("middle")?)
}

fn with_work(driver: &dyn StorageDriver, _: &Oracle) -> Result<()> {
    two_sealed(driver)?;
    layer(driver, "work", Some("middle"), write_work)
}

fn live(driver: &dyn StorageDriver, oracle: &Oracle) -> Result<()> {
    layer(driver, "first", None, write_base)?;
    driver.seal(&id("first")?)?;
    create(driver, "second", Some("first"))?;
    driver.apply(&id("second")?, &mut &*oracle.middle_tar)?;
    driver.diff(&id("second")?, &mut io::sink())?;
    driver.remove(&id("second")?)?;
    driver.remove(&id("first")?)
}

pub(crate) fn create(driver: &dyn StorageDriver, name: &'static str, parent: Option<&'static str>) -> Result<()> {
    let parent = parent.map(id).transpose()?;
    driver.create(&id(name)?, parent.as_ref(), &CreateOptions::default())
}

pub(crate) fn layer(
    driver: &dyn StorageDriver,
    name: &'static str,
    parent: Option<&'static str>,
    change: fn(&Path) -> io::Result<()>,
) -> Result<()> {
    create(driver, name, parent)?;
    write(driver, name, change)
}

fn write(driver: &dyn StorageDriver, name: &'static str, change: fn(&Path) -> io::Result<()>) -> Result<()> {
    let mounted = driver.mount(&id(name)?, MountMode::ReadWrite)?;
    let written = change(mounted.path()).map_err(Error::io("write in", mounted.path()));
    // The driver knows of more than the file system, such as a full pool below it.
    mounted.close().and(written)
}
