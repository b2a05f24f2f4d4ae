//! Somebody's Dockerfile as a workload.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use harness_image::Store;
use workloads::{
    BuildOptions, BuildSpec, Engine, Error, Measurement, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
};

use super::findings::Findings;
use crate::engine::bases;

/// A name that no image of a user has.
const TAG: &str = "harness-bench/profile:latest";

/// Builds it, and looks once at what came out.
pub struct Builds {
    pub name: String,
    pub context: PathBuf,
    pub dockerfile: PathBuf,
    pub source: Vec<u8>,
    pub options: BuildOptions,
    pub store: Arc<Store>,
    pub findings: Arc<Mutex<Option<Findings>>>,
}

impl fmt::Debug for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builds").field("dockerfile", &self.dockerfile).finish_non_exhaustive()
    }
}

impl Workload for Builds {
    fn name(&self) -> &'static str {
        "build"
    }

    fn about(&self) -> &'static str {
        "building one Dockerfile instruction by instruction"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn setup(&self, _: &Params, _: u64, _: &Scratch) -> Result<()> {
        bases::ensure_for(&self.store, &self.source, self.options.target.as_deref(), &self.options.args)
            .map_err(|failure| Error::Engine(failure.to_string().into()))
    }

    fn prepare(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let file = harness_builder::parse(&self.source).map_err(|error| Error::Engine(error.into()))?;
        for stage in &file.stages {
            // A stage's name, or what only ARGs tell, is the builder's to find.
            if self.store.resolve(&stage.base.text).is_ok() {
                engine.ensure_base(&stage.base.text)?;
            }
        }
        Ok(())
    }

    fn run(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let spec = BuildSpec {
            context: &self.context,
            dockerfile: Some(self.dockerfile.clone()),
            tag: TAG,
            use_cache: false,
            count_device: true,
            options: self.options.clone(),
        };
        let built = workloads::build_dockerfile(&self.name, &spec, engine, recorder)?;
        let mut kept = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            let found = Findings::read(&self.store, TAG, &built).map_err(|error| Error::Engine(error.into()))?;
            *kept = Some(found);
        }
        // What a layer holds is the Dockerfile's doing, not the driver's: once read is enough.
        for step in kept.iter().flat_map(|found| &found.steps) {
            let Some(layer) = step.layer else { continue };
            let wasted = kept.as_ref().map(|found| found.layers[layer].wasted()).unwrap_or_default();
            let params = [("dockerfile", self.name.as_str()), ("step", step.label.as_str())];
            let quantity = Quantity::Bytes(wasted);
            recorder.record(&Measurement { params: &params, phase: "total", metric: "wasted_bytes", quantity })?;
        }
        Ok(())
    }

    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        match engine.remove_image(TAG) {
            // The build may have failed before there was an image.
            Ok(()) | Err(Error::Engine(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}
