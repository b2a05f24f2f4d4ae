//! `cargo xtask peers`: this engine beside docker, podman and containerd, each through its own commands, in one run.
//!
//! The peers are whole programs and not storage drivers, so they do not stand behind the port `workloads::Engine`, which
//! hands a driver out; what they share with this engine is the list of work in [`engine::Work`].

mod bed;
mod containerd;
mod crowd;
mod docker_like;
mod dockerd;
mod engine;
mod http;
mod material;
mod ours;
mod plain;
mod podman;
mod process;
mod rounds;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use self::{bed::Guard, engine::Engine, material::Material, rounds::Run};
use crate::{lab::release, packages};

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How layers are kept: overlay2 and vfs on ext4, btrfs on btrfs; the peers have drivers of the same kind
    #[arg(long, value_name = "NAME", default_value = "overlay2", value_parser = ["overlay2", "vfs", "btrfs"])]
    driver: String,
    /// Measured rounds
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The engines beside plain programs, with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "ours,dockerd,podman,containerd")]
    engines: Vec<String>,
    /// Only this work, with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Instead of all that: run containers in stores with so many other images and as many stopped containers, with commas
    #[arg(long, value_name = "N,N...", value_delimiter = ',', conflicts_with = "only")]
    crowd: Vec<u32>,
    /// This engine's program [default: the release build of this tree]
    #[arg(long, value_name = "FILE")]
    harness: Option<PathBuf>,
    /// Write the run directory there [default: results/runs/TIME-peers]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Measures, prints the table, and writes a run directory.
pub fn run(args: &Args) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the other engines, and file systems of their own for them, need root; run it as root");
    }
    packages::ensure_peers()?;
    let harness = match &args.harness {
        Some(program) => program.clone(),
        None => release("harness", "harness")?,
    };
    let guard = Guard::new()?;
    let measured = measure(args, &harness);
    // Also when it failed.
    guard.clean_up()?;
    measured
}

fn measure(args: &Args, harness: &std::path::Path) -> Result<()> {
    let wanted = engine::Work::choose(&args.only)?;
    let material = Material::make(harness).context("cannot make what is to be loaded and built")?;
    println!("{}", material.about());
    let mut run = Run::start(args.out.as_deref(), &args.driver, args.rounds, &material)?;
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    for name in &args.engines {
        let opened: Vec<Result<Box<dyn Engine>>> = match name.as_str() {
            "ours" => vec![ours::open(harness, &args.driver, true), ours::open(harness, &args.driver, false)],
            "dockerd" => vec![dockerd::open(&args.driver)],
            "podman" => vec![podman::open(&args.driver)],
            "containerd" => vec![containerd::open(&args.driver)],
            other => bail!("there is no engine {other:?}; there are ours, dockerd, podman and containerd"),
        };
        for opened in opened {
            match opened.and_then(|mut engine| engine.prepare(&material).map(|()| engine)) {
                Ok(engine) => engines.push(engine),
                Err(error) if name == "ours" => return Err(error),
                Err(error) => {
                    println!("{name} is left out: {error:#}");
                    run.leave_out(name, &format!("{error:#}"));
                }
            }
        }
    }
    if args.crowd.is_empty() {
        engines.push(plain::open(&args.driver)?);
        run.all(&mut engines, &material, &wanted)?;
    } else {
        run.crowd(&mut engines, &args.crowd, &material)?;
    }
    for engine in engines {
        engine.close()?;
    }
    run.finish()
}
