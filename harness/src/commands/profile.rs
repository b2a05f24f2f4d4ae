mod advice;
mod findings;
mod told;
mod workload;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::Args;

use self::{told::Profile, workload::Builds};
use super::{
    bench::{self, BenchArgs, run::Run},
    build::words,
};
use crate::{
    cli::Common,
    commands::print,
    drivers,
    engine::processor,
    failure::{Failure, Result},
    place::Place,
    signals,
};

/// Tell what each instruction of a Dockerfile costs, and what to change
///
/// The Dockerfile is built on every driver, without a cache: time, files and bytes copied up, bytes of the layer. Of the image
/// that comes out it is told what each layer holds that a later one overwrites or deletes. A run directory with samples and
/// charts is written, as by `bench`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    pub common: Common,
    /// The Dockerfile, or a directory that has one
    #[arg(value_name = "DOCKERFILE")]
    pub dockerfile: PathBuf,
    /// The build context [default: the Dockerfile's directory]
    #[arg(long, value_name = "DIR")]
    pub context: Option<PathBuf>,
    /// Drivers: one, several with commas, or all that work here
    #[arg(long, value_name = "NAME[,NAME...]")]
    pub driver: Vec<String>,
    /// Driver option, such as metacopy=on; DRIVER:NAME=VALUE for one driver of several
    #[arg(long = "driver-opt", value_name = "[DRIVER:]NAME=VALUE")]
    pub driver_options: Vec<String>,
    /// How often it is built on each driver
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Value of an ARG; without =VALUE it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// The stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Network of RUN steps: none (loopback only) or host
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = ["none", "host"])]
    pub network: String,
    /// Where the drivers' data lives, as for bench
    #[arg(long, value_name = "TESTBED")]
    pub testbed: Option<String>,
    /// The run directory, which is made [default: results/runs/<time>-<id>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

pub fn run(args: &ProfileArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let (dockerfile, context) = places(args)?;
    let source = std::fs::read(&dockerfile).with_context(|| format!("cannot read {}", dockerfile.display()))?;
    // What is wrong with it is said before anything is set up.
    let shown = dockerfile.display().to_string();
    harness_builder::parse_named(&shown, &source).map_err(|error| Failure::Failed(error.into()))?;
    let bench = bench_args(args);
    let choice = drivers::choose(&args.driver)?;
    let spec = bench::testbed(&bench, &place)?;
    let stop = signals::stop_flag()?;
    processor::count_syscalls();
    let run = Run::start(&bench, &place)?;
    let dir = run.dir().to_owned();
    let findings = Arc::new(Mutex::new(None));
    let builds = Builds {
        name: name(&context),
        context,
        dockerfile,
        source,
        options: workloads::BuildOptions {
            target: args.target.clone(),
            args: args.build_arg.iter().filter_map(|pair| words::argument(pair)).collect(),
            host_network: args.network == "host",
        },
        store: run.store()?,
        findings: findings.clone(),
    };
    let builds: Vec<(Box<dyn workloads::Workload>, _)> = vec![(Box::new(builds), workloads::Params::default())];
    run.all(&bench, &choice, &builds, &spec, &stop)?;
    let found = findings.lock().unwrap_or_else(PoisonError::into_inner).take();
    let found = found.ok_or_else(|| Failure::Internal(anyhow::anyhow!("a build without findings")))?;
    let profile = Profile::new(shown, &found, &results::Recorded::read(&dir)?);
    match args.format.as_str() {
        "json" => print(&(serde_json::to_string_pretty(&profile)? + "\n")),
        _ => print(&profile.to_table()),
    }
}

/// The Dockerfile and its context.
fn places(args: &ProfileArgs) -> Result<(PathBuf, PathBuf)> {
    let given = &args.dockerfile;
    let dockerfile = if given.is_dir() { given.join("Dockerfile") } else { given.clone() };
    let beside = dockerfile.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = args.context.as_deref().unwrap_or(beside);
    let absolute = context.canonicalize().with_context(|| format!("cannot use the context {}", context.display()))?;
    Ok((dockerfile, absolute))
}

/// What charts call it.
fn name(context: &Path) -> String {
    context.file_name().map_or_else(|| "dockerfile".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn bench_args(args: &ProfileArgs) -> BenchArgs {
    BenchArgs {
        common: args.common.clone(),
        driver: args.driver.clone(),
        workload: vec!["build".to_owned()],
        runs: Some(args.runs),
        warmup: 0,
        quick: false,
        params: Vec::new(),
        testbed: args.testbed.clone(),
        driver_options: args.driver_options.clone(),
        seed: 1,
        out: args.out.clone(),
        resume: None,
        format: "none".to_owned(),
        inject: None,
        keep: false,
    }
}
