use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use storage_driver::{CreateOptions, LayerId, MountMode, MountedLayer, StorageDriver};

use crate::{During, Op, Stop, Subject, Verdict, op::execute, ram::Ram};

/// What a case works with: a driver on a fresh root, and room of its own.
pub struct Context<'a> {
    subject: &'a dyn Subject,
    room: &'a Path,
    driver: RefCell<Option<Arc<dyn StorageDriver>>>,
    peer: RefCell<Option<Arc<dyn StorageDriver>>>,
    next: Cell<u32>,
    /// The peer's; dropped after it.
    ram: RefCell<Option<Ram>>,
}

impl<'a> Context<'a> {
    /// Opens the subject on a fresh root in `room`.
    pub(crate) fn open(subject: &'a dyn Subject, room: &'a Path) -> Verdict<Self> {
        let context = Self {
            subject,
            room,
            driver: RefCell::default(),
            peer: RefCell::default(),
            next: Cell::new(0),
            ram: RefCell::default(),
        };
        fs::create_dir(context.root())?;
        *context.driver.borrow_mut() = Some(subject.open(&context.root())?);
        Ok(context)
    }

    /// The driver.
    pub fn driver(&self) -> Arc<dyn StorageDriver> {
        #[expect(
            clippy::expect_used,
            reason = "only `close_driver` and `close` take it out; cases do not ask for it then"
        )]
        self.driver.borrow().clone().expect("the driver is open while a case runs")
    }

    /// Opens the driver's root a second time, beside the first.
    pub fn open_again(&self) -> storage_driver::Result<Arc<dyn StorageDriver>> {
        self.subject.open(&self.root())
    }

    /// Closes the driver and opens its root again. The case must have let go of every other reference.
    pub fn reopen(&self) -> Verdict<Arc<dyn StorageDriver>> {
        self.close_driver()?;
        let driver = self.open_again()?;
        *self.driver.borrow_mut() = Some(driver.clone());
        Ok(driver)
    }

    /// Closes the driver, until [`reopen`](Self::reopen).
    pub(crate) fn close_driver(&self) -> Verdict {
        let driver = self.driver.borrow_mut().take();
        if let Some(driver) = driver {
            driver.shutdown()?;
            assert_eq!(Arc::strong_count(&driver), 1, "the case still holds the driver that it wants to reopen");
        }
        Ok(())
    }

    /// Another driver, to exchange layers with.
    pub fn peer(&self) -> Verdict<Arc<dyn StorageDriver>> {
        if let Some(peer) = &*self.peer.borrow() {
            return Ok(peer.clone());
        }
        let root = self.directory("peer")?;
        *self.ram.borrow_mut() = Ram::on(&root);
        let peer = self.subject.open_peer(&root)?;
        *self.peer.borrow_mut() = Some(peer.clone());
        Ok(peer)
    }

    /// Where everything of the case is.
    pub(crate) const fn room(&self) -> &Path {
        self.room
    }

    /// Where the driver keeps its data.
    pub fn root(&self) -> PathBuf {
        self.room.join("root")
    }

    /// A new directory of the case's own, mode 0755.
    pub fn directory(&self, name: &str) -> Verdict<PathBuf> {
        let path = self.room.join(name);
        fs::create_dir(&path)?;
        execute(&path, &Op::chmod("", 0o755))?;
        Ok(path)
    }

    /// An id that was not used before in this case.
    pub fn fresh_id(&self, prefix: &str) -> LayerId {
        let number = self.next.get();
        self.next.set(number + 1);
        id(&format!("{prefix}-{number}"))
    }

    /// A writable layer.
    pub fn create(&self, name: &str, parent: Option<&LayerId>) -> Verdict<LayerId> {
        let id = id(name);
        self.driver().create(&id, parent, &CreateOptions::default())?;
        Ok(id)
    }

    /// A writable layer that was changed by `ops`, unmounted.
    pub fn changed(&self, name: &str, parent: Option<&LayerId>, ops: &[Op]) -> Verdict<LayerId> {
        let id = self.create(name, parent)?;
        self.change(&id, ops)?;
        Ok(id)
    }

    /// Mounts a layer read-write, does `ops`, and closes it.
    pub fn change(&self, id: &LayerId, ops: &[Op]) -> Verdict {
        let mounted = self.driver().mount(id, MountMode::ReadWrite)?;
        all(mounted.path(), ops)?;
        Ok(mounted.close()?)
    }

    /// A sealed layer that holds what `ops` did.
    pub fn sealed(&self, name: &str, parent: Option<&LayerId>, ops: &[Op]) -> Verdict<LayerId> {
        let id = self.changed(name, parent, ops)?;
        self.driver().seal(&id)?;
        Ok(id)
    }

    /// A layer's merged tree for reading; the layer is sealed, or is written to by nobody.
    pub fn read(&self, id: &LayerId) -> Verdict<MountedLayer> {
        Ok(self.driver().mount(id, MountMode::ReadOnly)?)
    }

    /// Shuts both drivers down and lets go of them.
    pub(crate) fn close(&self) -> Verdict {
        for driver in [&self.driver, &self.peer] {
            if let Some(driver) = driver.borrow_mut().take() {
                driver.shutdown().during(|| format!("{} after the case: shutdown", driver.name()))?;
                if Arc::strong_count(&driver) > 1 {
                    return Err(Stop::failed(format!("{}: something still holds the driver", driver.name())));
                }
            }
        }
        self.ram.borrow_mut().take();
        Ok(())
    }
}

/// A layer id from a name that is known to be one.
///
/// # Panics
/// When it is none, which is a mistake in a case.
#[must_use]
pub fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Does all of `ops`, none of which may fail.
pub fn all(root: &Path, ops: &[Op]) -> Verdict {
    for op in ops {
        execute(root, op).during(|| format!("{op:?}"))?;
    }
    Ok(())
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("subject", &self.subject.name())
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}
