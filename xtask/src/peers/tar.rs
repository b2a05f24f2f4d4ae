//! GNU tar: no engine, but what unpacking the same files costs at least.

use std::{fs, process::Command, time::Instant};

use anyhow::Result;
use harness_testbed::Testbed;

use super::{
    bed,
    engine::{Answer, Engine, Work},
    material::Material,
    process::{text, timed},
};

struct Tar {
    bed: Testbed,
}

pub fn open(driver: &str) -> Result<Box<dyn Engine>> {
    Ok(Box::new(Tar { bed: bed::make("tar", driver)? }))
}

impl Engine for Tar {
    fn name(&self) -> &'static str {
        "tar"
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
