//! A driver that finds changes in a way of its own, held against the walk of both trees each time it is asked.

use std::{
    fmt::Debug,
    io::{self, Read, Write},
    sync::Arc,
};

use storage_driver::{
    ApplyStats, Capabilities, Change, CreateOptions, DiffStats, Error, HeldMount, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Status, StorageDriver, Usage,
};
use storage_layer::by_walk;

/// How often both are asked while somebody writes to the layer meanwhile.
const TRIES: usize = 20;

#[derive(Debug)]
pub struct Both(pub Arc<dyn StorageDriver>);

impl Both {
    /// Fails where the driver's answer is not the walk's. What changes meanwhile is no difference: the driver must then
    /// answer another time.
    fn compare<T: PartialEq + Debug>(
        &self,
        id: &LayerId,
        own: impl Fn() -> Result<T>,
        walk: impl Fn() -> Result<T>,
        show: impl Fn(&T, &T) -> String,
    ) -> Result<()> {
        let mut shown = String::new();
        for _ in 0..TRIES {
            let before = own()?;
            let walked = match walk() {
                // Removed meanwhile.
                Err(Error::NotFound { .. }) => return Ok(()),
                walked => walked?,
            };
            if before == walked {
                return Ok(());
            }
            if own()? == before {
                shown = show(&before, &walked);
                break;
            }
        }
        let path = std::path::Path::new(id.as_str());
        let why = format!("the driver finds other changes than the walk of both trees: {shown}");
        Err(Error::Corrupt { path: path.to_owned(), why })
    }
}

/// Where two tars part.
fn parting(own: &[u8], walked: &[u8]) -> String {
    let at = own.iter().zip(walked).take_while(|(own, walked)| own == walked).count();
    format!("tars of {} and {} bytes part at byte {at}", own.len(), walked.len())
}

impl StorageDriver for Both {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn status(&self) -> Status {
        self.0.status()
    }

    fn recovered(&self) -> &[Leftover] {
        self.0.recovered()
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        self.0.create(id, parent, options)
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        self.0.mount(id, mode)
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.0.hold(mounted)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        self.0.seal(id)
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.0.remove(id)
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.0.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.0.list()
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.0.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        self.0.usage(id)
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        let found = self.0.changes(id)?;
        let walk = || by_walk::changes(&*self.0, id);
        self.compare(id, || self.0.changes(id), walk, |own, walked| format!("{own:?}, and {walked:?}"))?;
        Ok(found)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        let stats = self.0.diff(id, out)?;
        let tar = |write: &dyn Fn(&mut Vec<u8>) -> Result<DiffStats>| {
            let mut tar = Vec::new();
            write(&mut tar).map(|_| tar)
        };
        let own = || tar(&|tar| self.0.diff(id, tar));
        let walk = || tar(&|tar| by_walk::diff(&*self.0, id, tar));
        self.compare(id, own, walk, |own, walked| parting(own, walked))?;
        Ok(stats)
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let stats = self.0.apply(id, tar)?;
        // What was laid over a layer is seen by both, too.
        self.diff(id, &mut io::sink())?;
        self.changes(id)?;
        Ok(stats)
    }

    fn wait_for_space(&self) -> Result<()> {
        self.0.wait_for_space()
    }

    fn shutdown(&self) -> Result<()> {
        self.0.shutdown()
    }
}
