//! Building real Dockerfiles and running what comes out, with the cost of every instruction.

mod input;
mod tools;

use std::sync::OnceLock;

use std::{fs, path::Path};

use storage_driver::Bytes;

use crate::{
    BuildOptions, BuildReport, BuildSpec, Engine, Error, Measurement, Param, Params, Quantity, Recorder, Result,
    RunReport, RunSpec, Scratch, StepReport, Workload,
    measure::{Cell, Cost, metered},
    tree,
};

use self::input::Input;
pub(crate) use self::input::TEN_STEPS;

/// The workload `build`.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// Names of inputs whose programs this machine lacks, so that its base image lacks them.
    left_out: OnceLock<Vec<String>>,
}

impl Build {
    fn inputs(&self, params: &Params) -> Result<Vec<Input>> {
        let mut inputs = Input::choose(params)?;
        inputs.retain(|input| !self.left_out.get().is_some_and(|names| names.contains(&input.name())));
        Ok(inputs)
    }
}

impl Workload for Build {
    fn name(&self) -> &'static str {
        "build"
    }

    fn about(&self) -> &'static str {
        "building Dockerfiles instruction by instruction, and running what was built"
    }

    fn params(&self) -> Vec<Param> {
        vec![
            Param {
                name: "dockerfile",
                default: "both",
                quick: "both",
                about: "tutorial, tensteps, both, or a directory with a Dockerfile of your own",
            },
            Param { name: "files", default: "2000", quick: "400", about: "files that tensteps copies in" },
            Param {
                name: "device",
                default: "step",
                quick: "step",
                about: "step: count the device's work per instruction, syncing it each time; build: only in all",
            },
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        count_device(params)?;
        Input::choose(params)?.iter().try_for_each(|input| input.write(params, seed, scratch))
    }

    /// Of several Dockerfiles, one that cannot run here is left out; alone, it is refused.
    fn prepare(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let inputs = Input::choose(params)?;
        let mut left_out = Vec::new();
        for input in &inputs {
            for base in input.bases()? {
                engine.ensure_base(&base)?;
            }
            match tools::check(input, engine) {
                Err(Error::Missing { what, remedy }) if left_out.len() + 1 < inputs.len() => {
                    engine.leave_out(&format!("the Dockerfile {}", input.name()), &format!("{what}; {remedy}"));
                    left_out.push(input.name());
                }
                other => other?,
            }
        }
        // It is the same machine for every driver.
        let _ = self.left_out.set(left_out);
        Ok(())
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        for input in self.inputs(params)? {
            one(&input, params, scratch, engine, recorder)?;
        }
        Ok(())
    }

    fn conclude(&self, params: &Params, engine: &mut dyn Engine) -> Result<()> {
        for input in self.inputs(params)? {
            match engine.remove_image(&input.tag()) {
                // The build may have failed before there was an image.
                Ok(()) | Err(Error::Engine(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}

fn count_device(params: &Params) -> Result<bool> {
    match params.text("device") {
        "step" => Ok(true),
        "build" => Ok(false),
        other => {
            let why = format!("it takes step or build, not {other:?}");
            Err(Error::Parameter { name: "device".to_owned(), why })
        }
    }
}

fn one(
    input: &Input,
    params: &Params,
    scratch: &Scratch,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let context = input.context(scratch);
    let tag = input.tag();
    let spec = BuildSpec {
        context: &context,
        dockerfile: None,
        tag: &tag,
        use_cache: false,
        count_device: count_device(params)?,
        options: BuildOptions::default(),
    };
    let (built, cost) = build(&input.name(), &spec, engine)?;
    let ran = engine.run(&RunSpec { image: &tag, command: Vec::new() })?;
    input.check_output(params, scratch, &ran)?;
    record_build(&input.name(), &built, cost, recorder)?;
    record_run(input, &ran, recorder)
}

/// Builds a Dockerfile of any origin, and records under `name` what every instruction took, as the workload `build` does.
///
/// # Errors
/// The engine's, and [`Error::Effect`] when nothing was built.
pub fn build_dockerfile(
    name: &str,
    spec: &BuildSpec<'_>,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<BuildReport> {
    let (built, cost) = build(name, spec, engine)?;
    record_build(name, &built, cost, recorder)?;
    Ok(built)
}

/// Writes the Dockerfile of ten steps and its context of so many files, the same bytes for the same seed; returns what the image
/// prints that is built of it, worked out without building it.
///
/// # Errors
/// [`Error::Io`].
pub fn write_ten_steps(context: &Path, files: u64, seed: u64) -> Result<String> {
    let files = tree::files(seed, files);
    tree::write(context, &files)?;
    let dockerfile = context.join("Dockerfile");
    fs::write(&dockerfile, TEN_STEPS).map_err(Error::io("write", dockerfile))?;
    Ok(tree::expected(files))
}

/// How the step with this index is called in samples: `03 RUN make`.
#[must_use]
pub fn step_label(index: usize, step: &StepReport) -> String {
    format!("{:02} {}", index + 1, step.instruction)
}

fn build(name: &str, spec: &BuildSpec<'_>, engine: &mut dyn Engine) -> Result<(BuildReport, Cost)> {
    let (built, cost) = metered(engine, |engine| engine.build(spec))?;
    check_build(name, &built)?;
    Ok((built, cost))
}

/// A build that ran nothing, or took its layers from a cache, would be a measurement of nothing.
fn check_build(name: &str, built: &BuildReport) -> Result<()> {
    if let Some(cached) = built.steps.iter().find(|step| step.cached) {
        return Err(Error::effect(format!("{} of {name}", cached.instruction), "a real step", "a cached one"));
    }
    if !built.steps.iter().any(|step| step.layer.is_some_and(|layer| layer.size > Bytes(0))) {
        return Err(Error::effect(format!("building {name}"), "layers", "none"));
    }
    Ok(())
}

fn record_build(name: &str, built: &BuildReport, cost: Cost, recorder: &mut dyn Recorder) -> Result<()> {
    for (index, step) in built.steps.iter().enumerate() {
        record_step(&[("dockerfile", name), ("step", &step_label(index, step))], step, recorder)?;
    }
    let params = [("dockerfile", name)];
    let cell = Cell { params: &params, phase: "build" };
    // Counting at every step syncs; that time is not the build's.
    cell.put_cost(recorder, &Cost { wall: built.total, ..cost })?;
    let mut put = |metric: &str, quantity| cell.put(recorder, metric, quantity);
    let layers = || built.steps.iter().filter_map(|step| step.layer);
    put("layer_bytes", Quantity::Bytes(layers().map(|layer| layer.size).sum()))?;
    put("copied_up_bytes", Quantity::Bytes(layers().map(|layer| layer.copied_up.bytes).sum()))?;
    put("allocated_bytes", Quantity::Bytes(layers().map(|layer| layer.exclusive).sum()))
}

fn record_step(params: &[(&str, &str)], step: &StepReport, recorder: &mut dyn Recorder) -> Result<()> {
    for (phase, time) in step.times.phases() {
        recorder.record(&Measurement { params, phase, metric: "wall", quantity: Quantity::Time(time) })?;
    }
    let total = Quantity::Time(step.times.total());
    recorder.record(&Measurement { params, phase: "total", metric: "wall", quantity: total })?;
    if let Some(layer) = step.layer {
        let counted = [
            ("layer_bytes", Quantity::Bytes(layer.size)),
            ("layer_entries", Quantity::Count(layer.entries)),
            ("allocated_bytes", Quantity::Bytes(layer.exclusive)),
            ("copied_up_files", Quantity::Count(layer.copied_up.files)),
            ("copied_up_bytes", Quantity::Bytes(layer.copied_up.bytes)),
        ];
        for (metric, quantity) in counted {
            recorder.record(&Measurement { params, phase: "total", metric, quantity })?;
        }
    }
    step.device.map_or(Ok(()), |device| Cell { params, phase: "total" }.put_device(recorder, device))
}

fn record_run(input: &Input, ran: &RunReport, recorder: &mut dyn Recorder) -> Result<()> {
    let name = input.name();
    let params = [("dockerfile", name.as_str())];
    let phases = [
        ("container prepare", ran.prepare),
        ("container start", ran.start),
        ("container run", ran.run),
        ("container remove", ran.remove),
        ("container", ran.prepare + ran.start + ran.run + ran.remove),
    ];
    phases.into_iter().try_for_each(|(phase, time)| {
        recorder.record(&Measurement { params: &params, phase, metric: "wall", quantity: Quantity::Time(time) })
    })
}
