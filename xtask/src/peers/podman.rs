//! podman, which has no daemon.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use harness_testbed::Testbed;

use super::{
    bed,
    docker_like::DockerLike,
    engine::{Answer, Engine, Work},
    material::{BUILT, LOADED, Material},
    process::peak,
};

const PROGRAM: &str = "/usr/bin/podman";

struct Podman {
    name: String,
    driver: &'static str,
    /// podman refuses one whose path has more than 50 characters, so it is where podman's own is.
    run: RunRoot,
    bed: Testbed,
}

pub fn open(driver: &str) -> Result<Box<dyn Engine>> {
    let driver = match driver {
        "overlay2" => "overlay",
        "vfs" => "vfs",
        _ => "btrfs",
    };
    let bed = bed::make("podman", driver)?;
    let run = PathBuf::from(format!("/run/harness-peers-{}-podman", std::process::id()));
    fs::create_dir(&run).with_context(|| format!("cannot create {}", run.display()))?;
    Ok(Box::new(Podman { name: format!("podman/{driver}"), driver, run: RunRoot(run), bed }))
}

impl DockerLike for Podman {
    /// By itself it raises these two limits to 1,048,576, which not every machine lets root do.
    const OPTIONS: &'static [&'static str] =
        &["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
    const QUIET: &'static [&'static str] = &["-q"];

    fn command(&self, args: &[&str]) -> Command {
        let dir = self.bed.path();
        let mut command = Command::new(PROGRAM);
        command.arg("--root").arg(dir.join("root"));
        command.arg("--runroot").arg(&self.run.0).arg("--tmpdir").arg(self.run.0.join("tmp"));
        command.args([
            "--storage-driver",
            self.driver,
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
            "--runtime=runc",
        ]);
        // Without it archives are unpacked on another file system first.
        command.args(args).env("TMPDIR", dir);
        command
    }

    fn data(&self) -> &Testbed {
        &self.bed
    }

    fn forget(&self, image: &str) {
        _ = self.run(&["rmi", "-f", image]);
        _ = self.run(&["image", "prune", "-f"]);
    }

    fn lifecycle(&self) -> Result<Answer> {
        let (create, id) = self.make(&["create"], &[LOADED, "true"])?;
        let mut times = BTreeMap::from([("create", create)]);
        for (phase, command) in [("start", "start"), ("wait", "wait"), ("remove", "rm")] {
            times.insert(phase, self.run(&[command, &id])?.0);
        }
        times.insert("total", times.values().sum());
        Ok(Answer::Took(times))
    }
}

impl Engine for Podman {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Result<String> {
        Ok(self.run(&["version", "--format", "{{.Client.Version}}"])?.1)
    }

    fn bed(&self) -> &Testbed {
        &self.bed
    }

    fn prepare(&mut self, material: &Material) -> Result<()> {
        self.load_others(material)
    }

    fn perform(&mut self, work: Work, material: &Material) -> Result<Answer> {
        self.work(work, material)
    }

    fn crowd(&mut self, name: &str, archive: &Path) -> Result<bool> {
        self.add_to_crowd(name, archive).map(|()| true)
    }

    fn peak(&mut self, work: Work, material: &Material) -> Result<Option<u64>> {
        let (mut command, image) = match work {
            Work::Load => {
                self.forget(LOADED);
                (self.load(&material.archive()), LOADED)
            }
            Work::Build => (self.build(material), BUILT),
            _ => return Ok(None),
        };
        let most = peak(&mut command)?;
        self.forget(image);
        Ok(Some(most))
    }

    fn close(self: Box<Self>) -> Result<()> {
        let Self { run, bed, .. } = *self;
        bed.close()?;
        drop(run);
        Ok(())
    }
}

/// What podman keeps while the machine runs; gone also when preparing fails.
#[derive(Debug)]
struct RunRoot(PathBuf);

impl Drop for RunRoot {
    fn drop(&mut self) {
        for mount in mounts_below(&self.0) {
            _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
        // The last monitor of a container may still be writing there.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        println!("{} stays", self.0.display());
    }
}

/// Mount points below a directory, inner ones first.
fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<_> = points.filter(|point| point.starts_with(dir)).collect();
    below.sort();
    below.reverse();
    below
}
