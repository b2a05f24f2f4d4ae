//! Containers that stay, behind the workloads' port.

use std::{path::Path, sync::Arc, time::Instant};

use harness_image::{Image, Layers, PrepareOptions, Purpose};
use harness_runtime::{Exec, Launch, Stdio, config::spec};
use storage_driver::{Bytes, LayerId, MountMode, MountedLayer};
use workloads::{Container, Containers, DatabaseReport, DatabaseWork, Error, ExecReport, Result};

use super::{containers, database};

/// Output of a program beyond this is cut off.
const OUTPUT: usize = 64 << 20;

/// Makes containers of one image.
#[derive(Debug)]
pub struct ImageContainers {
    pub layers: Arc<Layers>,
    pub image: Arc<Image>,
    pub parent: Option<LayerId>,
}

impl Containers for ImageContainers {
    fn create(&self) -> Result<Box<dyn Container>> {
        let options = PrepareOptions { purpose: Purpose::Container, ..PrepareOptions::default() };
        let layer = self.layers.prepare(self.parent.as_ref(), &options).map_err(engine)?;
        let (layers, image) = (self.layers.clone(), self.image.clone());
        Ok(Box::new(LongLived { layers, image, layer, mounted: None, running: None, removed: false }))
    }
}

/// One of them.
#[derive(Debug)]
struct LongLived {
    layers: Arc<Layers>,
    image: Arc<Image>,
    layer: LayerId,
    mounted: Option<MountedLayer>,
    running: Option<harness_runtime::Container>,
    removed: bool,
}

impl Container for LongLived {
    fn layer(&self) -> &LayerId {
        &self.layer
    }

    fn mount(&mut self) -> Result<&Path> {
        let mounted = self.layers.driver().mount(&self.layer, MountMode::ReadWrite).map_err(engine)?;
        Ok(self.mounted.insert(mounted).path())
    }

    fn start(&mut self, command: &[&str], accounting: bool) -> Result<()> {
        let mounted = self.mounted.as_ref().ok_or_else(|| not_yet("mounted"))?;
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let words = containers::words(&self.image, None, &command);
        let config = containers::config(&self.image, mounted.path(), words);
        let launch = |accounting| -> harness_runtime::Result<harness_runtime::Container> {
            Launch { stdio: Stdio::Null, accounting, ..Launch::new(self.layer.as_str(), spec(&config)?) }.start()
        };
        let started = match launch(accounting) {
            // Without the right to make cgroups it runs all the same; it has no figures then.
            Err(harness_runtime::Error::Limit { .. }) if accounting => launch(false),
            other => other,
        };
        self.running = Some(started.map_err(engine)?);
        Ok(())
    }

    fn exec(&self, command: &[&str]) -> Result<ExecReport> {
        let started = Instant::now();
        let exec = Exec { stdio: Stdio::Output, ..Exec::new(command.iter().copied()) };
        let mut process = self.running()?.exec(exec).map_err(engine)?;
        let start = started.elapsed();
        let output = process.output(OUTPUT).map_err(engine)?;
        let run = started.elapsed().saturating_sub(start);
        Ok(ExecReport { status: output.exit.status(), stdout: output.stdout, start, run })
    }

    fn database(&self, work: &DatabaseWork) -> Result<DatabaseReport> {
        let exec =
            Exec { stdio: Stdio::Output, role: true, ..Exec::new(harness_database::request(&database::work(work))) };
        let output = self.running()?.exec(exec).and_then(|mut process| process.output(OUTPUT)).map_err(engine)?;
        let report = harness_database::report(output.exit.status(), &output.stdout, &output.stderr);
        report.map(database::report).map_err(engine)
    }

    fn memory(&self) -> Result<Option<Bytes>> {
        let stats = self.running()?.stats().map_err(engine)?;
        Ok(stats.and_then(|stats| stats.memory).map(Bytes))
    }

    fn stop(&mut self) -> Result<i32> {
        let container = self.running.take().ok_or_else(|| not_yet("started"))?;
        // SIGKILL, which a process 1 cannot ignore.
        container.signal(9).map_err(engine)?;
        let exit = container.wait().map_err(engine)?;
        container.close().map_err(engine)?;
        Ok(exit.status())
    }

    fn unmount(&mut self) -> Result<()> {
        self.mounted.take().map_or(Ok(()), MountedLayer::close).map_err(engine)
    }

    fn remove(mut self: Box<Self>) -> Result<()> {
        // A removal that failed is not tried again by the drop.
        self.removed = true;
        self.layers.discard(&self.layer).map_err(engine)
    }
}

impl LongLived {
    fn running(&self) -> Result<&harness_runtime::Container> {
        self.running.as_ref().ok_or_else(|| not_yet("started"))
    }
}

impl Drop for LongLived {
    fn drop(&mut self) {
        // In this order: a process in it would keep the mount busy, a mount the layer.
        drop(self.running.take());
        drop(self.mounted.take());
        if !self.removed
            && let Err(error) = self.layers.discard(&self.layer)
        {
            tracing::warn!(layer = %self.layer, %error, "a container's layer is left");
        }
    }
}

fn not_yet(what: &str) -> Error {
    engine(format!("the container is not {what} yet"))
}

fn engine(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Engine(error.into())
}
