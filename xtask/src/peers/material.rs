//! What is loaded, built and run: the same bytes on every machine, but for the host's own programs in its base image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{engine::Answer, process::timed};

/// Of everything random.
pub const SEED: u64 = 1;

/// The image that is loaded and removed, with no layer of another.
pub const LOADED: &str = "localhost/peers-load:latest";
/// The base of the build.
pub const HOST: &str = "host:latest";
/// An image with a large file.
pub const LARGE: &str = "localhost/peers-large:latest";
/// What is built, and committed.
pub const BUILT: &str = "localhost/peers-built:latest";
pub const COMMITTED: &str = "localhost/peers-committed:latest";

/// Files of the two upper layers of what is loaded, each; with the base's they are about 4,200.
const FILES: u32 = 2_027;
/// The large file.
const LARGE_SIZE: usize = 256 << 20;
/// Files of the build's context.
const CONTEXT: u64 = 2_000;

/// Files in a directory that goes with it.
#[derive(Debug)]
pub struct Material {
    dir: tempfile::TempDir,
    /// Of the loaded archive.
    pub bytes: u64,
    files: usize,
    /// What the built image prints.
    pub expected: String,
}

impl Material {
    /// Makes it with this engine.
    pub fn make(harness: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("harness-peers-").tempdir_in("/var/tmp")?;
        let root = dir.path().join("root");
        let ours = |args: &[&str]| timed(Command::new(harness).args(args).arg("--root").arg(&root)).map(drop);
        let text = |path: &Path| path.display().to_string();
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let context = dir.path().join("load");
        for layer in ["one", "two"] {
            many(&context.join(layer), &mut random)?;
        }
        fs::write(
            context.join("Dockerfile"),
            "FROM host AS host\nFROM scratch\nCOPY --from=host / /\nCOPY one /one\nCOPY two /two\n",
        )?;
        ours(&["build", "-q", "-t", LOADED, &text(&context)])?;
        let context = dir.path().join("large");
        fs::create_dir(&context)?;
        let mut content = vec![0; LARGE_SIZE];
        random.fill_bytes(&mut content);
        fs::write(context.join("large"), content)?;
        fs::write(context.join("Dockerfile"), "FROM host\nCOPY large /large\n")?;
        ours(&["build", "-q", "-t", LARGE, &text(&context)])?;
        for (image, name) in [(LOADED, "load.tar"), (LARGE, "large.tar"), (HOST, "host.tar")] {
            ours(&["save", "-o", &text(&dir.path().join(name)), image])?;
        }
        fs::remove_dir_all(&root)?;
        let expected = workloads::write_ten_steps(&dir.path().join("tensteps"), CONTEXT, SEED)?;
        let mut material = Self { bytes: 0, files: 0, expected, dir };
        material.bytes = fs::metadata(material.archive())?.len();
        material.unpack_layers()?;
        Ok(material)
    }

    /// Also as GNU tar needs them: the layers without the archive around them.
    fn unpack_layers(&mut self) -> Result<()> {
        let dir = self.dir.path().join("layers");
        fs::create_dir(&dir)?;
        timed(Command::new("tar").arg("-xf").arg(self.archive()).arg("-C").arg(&dir))?;
        let manifest = fs::read(dir.join("manifest.json")).context("the archive has no manifest.json")?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
        let layers = manifest[0]["Layers"].as_array().context("the archive's manifest.json names no layers")?.clone();
        for (number, layer) in layers.iter().enumerate() {
            let from = fs::canonicalize(dir.join(layer.as_str().unwrap_or_default()))?;
            fs::copy(&from, self.dir.path().join(format!("layer{number}.tar")))?;
            let (_, listed) = timed(Command::new("tar").arg("-tf").arg(&from))?;
            self.files += String::from_utf8_lossy(&listed.stdout).lines().filter(|name| !name.ends_with('/')).count();
        }
        Ok(fs::remove_dir_all(dir)?)
    }

    /// What is loaded and removed.
    pub fn archive(&self) -> PathBuf {
        self.dir.path().join("load.tar")
    }

    /// Its layers' tars, bottom first.
    pub fn layers(&self) -> Vec<PathBuf> {
        (0..)
            .map(|number| self.dir.path().join(format!("layer{number}.tar")))
            .take_while(|path| path.exists())
            .collect()
    }

    /// What work stands on: the base of the build, and the image with the large file.
    pub fn others(&self) -> [PathBuf; 2] {
        ["host.tar", "large.tar"].map(|name| self.dir.path().join(name))
    }

    /// The context of the build.
    pub fn context(&self) -> PathBuf {
        self.dir.path().join("tensteps")
    }

    /// For people.
    pub fn about(&self) -> String {
        let (megabytes, layers) = (self.bytes as f64 / 1e6, self.layers().len());
        format!("The archive has {megabytes:.0} MB in {layers} layers with {} files.", self.files)
    }
}

/// Appends to 2,500 files of the image, and makes as many.
pub const CHANGE: &str = "n=0; for f in /one/*/* /two/*/*; do echo more >> $f; n=$((n+1)); [ $n -lt 2500 ] || break; done; \
    mkdir /new; n=0; while [ $n -lt 2500 ]; do echo $n > /new/$n; n=$((n+1)); done";

/// Prints how many nanoseconds the first byte written to the large file took, and the second. `date` is a program of its own: its start
/// is in both.
pub const APPEND: &str = "a=$(date +%s%N); printf x >> /large; b=$(date +%s%N); printf x >> /large; c=$(date +%s%N); \
    echo $((b-a)) $((c-b))";

/// Files of the sizes of real images: most are small, most of the bytes are in few.
fn many(dir: &Path, random: &mut ChaCha8Rng) -> Result<()> {
    for number in 0..FILES {
        let dir = dir.join(format!("d{:02}", number % 40));
        fs::create_dir_all(&dir)?;
        let size: usize = match number % 100 {
            0..40 => random.random_range(1..1_024),
            40..70 => random.random_range(1_024..8_192),
            70..90 => random.random_range(8_192..65_536),
            90..99 => random.random_range(65_536..131_072),
            _ => random.random_range(131_072..1_500_000),
        };
        let mut content = vec![0; size];
        random.fill_bytes(&mut content);
        fs::write(dir.join(format!("f{number:05}")), content)?;
    }
    Ok(())
}

impl Material {
    /// Whether an image was really built.
    pub fn check_built(&self, printed: &str) -> Result<()> {
        anyhow::ensure!(printed.trim() == self.expected.trim(), "the built image prints something else than it should");
        Ok(())
    }
}

/// Engines list directories that changed with what is in them, too: some dozens more than the files.
pub fn expect_changes(lines: usize) -> Result<()> {
    anyhow::ensure!((5_000..5_200).contains(&lines), "the list of 5,000 changes has {lines} lines");
    Ok(())
}

/// Reads what [`APPEND`] printed.
pub fn appended(printed: &str) -> Result<Answer> {
    let times: Vec<u64> = printed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [first, second] = times[..] else { anyhow::bail!("the container printed {printed:?}") };
    let time = std::time::Duration::from_nanos;
    Ok(Answer::Took([("first", time(first)), ("second", time(second))].into()))
}
