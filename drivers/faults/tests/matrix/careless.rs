//! Drivers with one mistake each: a matrix that does not find it proves nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use driver_faults::{Fault, Opener, Report};
use libtest_mimic::{Failed, Trial};
use storage_driver::{
    ApplyStats, Capabilities, Change, CreateOptions, DiffStats, HeldMount, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Status, StorageDriver, Usage,
};

use crate::{drivers, examine};

/// What a driver does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// It deletes a layer's files before the layer is gone.
    DeletesFirst,
    /// It takes a full disk for success.
    IgnoresErrors,
    /// It leaves a file beside its layers.
    Leaves,
    /// It leaves a mount.
    LeavesMount,
    /// It writes to a parent.
    WritesBelow,
}

pub fn trials() -> Vec<Trial> {
    let with = |name: &str, mistake, fault, operation: &'static str, said: &'static str| {
        Trial::test(format!("privileged_careless::{name}"), move || {
            let open = move |root: &Path| {
                let inner = drivers::open("vfs", root, &BTreeMap::new())?;
                Ok(Arc::new(Careless { inner, root: root.to_owned(), mistake }) as Arc<dyn StorageDriver>)
            };
            let report = examine(&Opener::new("careless", open), &[fault], &[operation])?;
            must_say(&report, said)
        })
    };
    vec![
        with(
            "a_layer_deleted_in_place_is_half_there",
            Mistake::DeletesFirst,
            Fault::Kill,
            "remove",
            "missing; expected",
        ),
        with("an_error_that_is_swallowed", Mistake::IgnoresErrors, Fault::Enospc, "create", "layer fresh is Absent"),
        with("a_sync_error_that_is_swallowed", Mistake::IgnoresErrors, Fault::Eio, "seal", "said that all was well"),
        with("a_file_that_stays", Mistake::Leaves, Fault::Kill, "create", "stray is left over"),
        with("a_mount_that_stays", Mistake::LeavesMount, Fault::Kill, "create", "stays mounted"),
        with("a_sealed_parent_that_changes", Mistake::WritesBelow, Fault::Kill, "create-on", "layer middle: /"),
        Trial::test("privileged_careless::a_seal_that_is_not_synced", || {
            let options = BTreeMap::from([("sync".to_owned(), "off".to_owned())]);
            let open = move |root: &Path| drivers::open("vfs", root, &options);
            let report = examine(&Opener::new("careless", open), &[Fault::Power], &["labels"])?;
            must_say(&report, "is lost")
        }),
    ]
}

fn must_say(report: &Report, said: &str) -> Result<(), Failed> {
    let problems = report.rows.iter().flat_map(|row| &row.lost).flat_map(|lost| &lost.problems);
    match problems.into_iter().any(|problem| problem.contains(said)) {
        true => Ok(()),
        false => Err(format!("nothing was said of {said:?}:\n{}", report.to_table()).into()),
    }
}

#[derive(Debug)]
struct Careless {
    inner: Arc<dyn StorageDriver>,
    root: PathBuf,
    mistake: Mistake,
}

impl Careless {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn tree(&self, id: &LayerId) -> PathBuf {
        self.root.join("layers").join(id.as_str()).join("tree")
    }

    fn heed(&self, result: Result<()>) -> Result<()> {
        if self.makes(Mistake::IgnoresErrors) { Ok(()) } else { result }
    }
}

impl StorageDriver for Careless {
    fn name(&self) -> &'static str {
        "careless"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    fn recovered(&self) -> &[Leftover] {
        self.inner.recovered()
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        let fresh = id.as_str() == "fresh";
        if fresh && self.makes(Mistake::Leaves) {
            fs::write(self.root.join("stray"), "").unwrap();
        }
        if fresh && self.makes(Mistake::LeavesMount) {
            let at = self.root.join("mounted");
            fs::create_dir(&at).unwrap();
            storage_sys::mount::bind(&self.root.join("layers"), &at).unwrap();
        }
        if let (true, true, Some(parent)) = (fresh, self.makes(Mistake::WritesBelow), parent) {
            fs::write(self.tree(parent).join("etc/passwd"), "another").unwrap();
        }
        self.heed(self.inner.create(id, parent, options))
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        self.inner.mount(id, mode)
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.inner.hold(mounted)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        self.heed(self.inner.seal(id))
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        if self.makes(Mistake::DeletesFirst) {
            fs::remove_dir_all(self.tree(id)).unwrap();
        }
        self.inner.remove(id)
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.inner.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.inner.list()
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.inner.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        self.inner.usage(id)
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.inner.changes(id)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.inner.diff(id, out)
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        self.inner.apply(id, tar)
    }

    fn shutdown(&self) -> Result<()> {
        self.inner.shutdown()
    }
}
