//! Whether a container costs more where many others are: the stores are filled step by step, and at each step a container is run.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use super::{
    engine::{Answer, Engine, Work},
    material::Material,
};

/// Containers at each size of the store and in each round.
const REPEATS: u32 = 5;

/// One time of `run --rm` of `true`, with so many images and as many stopped containers in the store.
pub struct Measured<'a> {
    pub engine: &'a str,
    pub others: u32,
    pub round: u32,
    pub seconds: f64,
}

/// Fills the stores to each of `sizes`, and runs containers by turns in all of them; engines that cannot be filled are left out.
pub fn measure(
    engines: &mut Vec<Box<dyn Engine>>,
    (sizes, rounds): (&[u32], u32),
    material: &Material,
    mut put: impl FnMut(&Measured<'_>) -> Result<()>,
) -> Result<()> {
    if sizes.is_empty() || !sizes.is_sorted() {
        bail!("the sizes of the stores have to grow: --crowd 1,10,100");
    }
    let archives = tempfile::tempdir().context("cannot make a directory")?;
    let mut filled = 0;
    for engine in engines.iter_mut() {
        engine.perform(Work::Load, material)?;
    }
    for &others in sizes {
        for number in filled..others {
            let name = format!("other{number}");
            let archive = archive(archives.path(), &name)?;
            let mut left = Vec::new();
            for mut engine in engines.drain(..) {
                let done = engine.crowd(&name, &archive);
                if done.with_context(|| format!("{}, image and container {name}", engine.name()))? {
                    left.push(engine);
                } else {
                    println!("{} has no commands to be filled by; it is left out", engine.name());
                    engine.close()?;
                }
            }
            *engines = left;
        }
        filled = others;
        println!("{others} images and containers");
        for round in 0..=rounds {
            for engine in engines.iter_mut() {
                for _ in 0..REPEATS {
                    let Answer::Took(times) = engine.perform(Work::Run, material)? else { continue };
                    if round > 0 {
                        let seconds = times["total"].as_secs_f64();
                        put(&Measured { engine: engine.name(), others, round, seconds })?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A root file system of one file, which no other image has.
fn archive(dir: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = dir.join("archive.tar");
    let mut tar =
        ::tar::Builder::new(fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?);
    let mut header = ::tar::Header::new_gnu();
    header.set_size(name.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "name", name.as_bytes())?;
    tar.finish()?;
    Ok(path)
}
