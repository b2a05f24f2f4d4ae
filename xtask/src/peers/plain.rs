//! Plain programs: no engine, but what the same costs at least. GNU tar unpacks the layers, rm removes them, and unshare(1),
//! mount(8) and chroot(8) run a program on them as a container's.

use std::{fs, path::Path, process::Command, time::Instant};

use anyhow::Result;
use harness_testbed::Testbed;

use super::{
    bed,
    engine::{Answer, Engine, Work},
    material::Material,
    process::{text, timed},
};

/// New namespaces as a container's, an overlay of the layers, `/proc`, and the program.
const CONTAINER: &str = "mount -t overlay overlay -o lowerdir=2:1:0,upperdir=upper,workdir=work merged \
    && mount -t proc proc merged/proc && exec chroot merged true";

/// What the program writes, and where it is run.
const WRITABLE: [&str; 3] = ["upper", "work", "merged"];

struct Plain {
    bed: Testbed,
    driver: String,
}

pub fn open(driver: &str) -> Result<Box<dyn Engine>> {
    Ok(Box::new(Plain { bed: bed::make(NAME, driver)?, driver: driver.to_owned() }))
}

/// Its column.
pub const NAME: &str = "plain";

impl Plain {
    /// A program as in a container; what it wrote is removed.
    fn run(&self, root: &Path) -> Result<Answer> {
        let start = Instant::now();
        WRITABLE.iter().try_for_each(|dir| fs::create_dir(root.join(dir)))?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--fork", "--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup", "sh", "-c", CONTAINER]);
        timed(unshare.current_dir(root))?;
        WRITABLE.iter().try_for_each(|dir| fs::remove_dir_all(root.join(dir)))?;
        Ok(Answer::total(start.elapsed()))
    }
}

impl Engine for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> Result<String> {
        let (_, told) = timed(Command::new("tar").arg("--version"))?;
        Ok(text(&told).lines().next().unwrap_or_default().to_owned())
    }

    fn bed(&self) -> &Testbed {
        &self.bed
    }

    fn prepare(&mut self, _: &Material) -> Result<()> {
        Ok(())
    }

    fn perform(&mut self, work: Work, material: &Material) -> Result<Answer> {
        const NO_ENGINE: &str = "it is no engine";
        let root = self.bed.path().join("tree");
        match work {
            Work::Load => {
                if root.exists() {
                    fs::remove_dir_all(&root)?;
                }
                let layers = material.layers();
                bed::sync(&self.bed)?;
                let start = Instant::now();
                for (number, layer) in layers.iter().enumerate() {
                    let dir = root.join(number.to_string());
                    fs::create_dir_all(&dir)?;
                    timed(Command::new("tar").arg("-xpf").arg(layer).arg("-C").arg(&dir))?;
                }
                Ok(Answer::total(start.elapsed()))
            }
            // What the other drivers do, no program does.
            Work::Run if self.driver == "overlay2" => self.run(&root),
            Work::Remove => {
                let start = Instant::now();
                timed(Command::new("rm").arg("-rf").arg(&root))?;
                Ok(Answer::total(start.elapsed()))
            }
            _ => Ok(Answer::Cannot(NO_ENGINE)),
        }
    }

    fn peak(&mut self, _: Work, _: &Material) -> Result<Option<u64>> {
        Ok(None)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.bed.close()?)
    }
}
