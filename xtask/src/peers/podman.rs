//! podman, which has no daemon.

use std::{
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
    engine::{Answer, Engine, Work},
    material::{self, APPEND, BUILT, CHANGE, COMMITTED, LARGE, LOADED, Material},
    process::{peak, text, timed},
};

const PROGRAM: &str = "/usr/bin/podman";
const NETWORK: &str = "--network=none";
/// By itself it raises these two to 1,048,576, which not every machine lets root do.
const LIMITS: [&str; 2] = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];

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

impl Podman {
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

    fn run(&self, args: &[&str]) -> Result<(Duration, String)> {
        timed(&mut self.command(args)).map(|(wall, output)| (wall, text(&output)))
    }

    fn load(&self, archive: &Path) -> Command {
        let mut command = self.command(&["load", "-q", "-i"]);
        command.arg(archive);
        command
    }

    fn build(&self, material: &Material) -> Command {
        let mut command = self.command(&["build", "-q", "--no-cache", NETWORK, LIMITS[0], LIMITS[1], "-t", BUILT]);
        command.arg(material.context());
        command
    }

    fn forget(&self, image: &str) {
        _ = self.run(&["rmi", "-f", image]);
        _ = self.run(&["image", "prune", "-f"]);
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
        material.others().iter().try_for_each(|archive| timed(&mut self.load(archive)).map(drop))
    }

    fn perform(&mut self, work: Work, material: &Material) -> Result<Answer> {
        let wall = match work {
            Work::Load => {
                self.forget(LOADED);
                bed::sync(&self.bed)?;
                timed(&mut self.load(&material.archive()))?.0
            }
            Work::Run => self.run(&["run", "--rm", NETWORK, LIMITS[0], LIMITS[1], LOADED, "true"])?.0,
            Work::Lifecycle => {
                let mut times = std::collections::BTreeMap::new();
                let (create, id) = self.run(&["create", NETWORK, LIMITS[0], LIMITS[1], LOADED, "true"])?;
                times.insert("create", create);
                times.insert("start", self.run(&["start", &id])?.0);
                times.insert("wait", self.run(&["wait", &id])?.0);
                times.insert("remove", self.run(&["rm", &id])?.0);
                times.insert("total", times.values().sum());
                return Ok(Answer::Took(times));
            }
            Work::Change => {
                _ = self.run(&["rm", "-f", "changed"]);
                self.run(&["run", "--name", "changed", NETWORK, LIMITS[0], LIMITS[1], LOADED, "sh", "-c", CHANGE])?.0
            }
            Work::Diff => {
                let (wall, listed) = self.run(&["diff", "changed"])?;
                material::expect_changes(listed.lines().count())?;
                wall
            }
            Work::Commit => {
                let (wall, _) = self.run(&["commit", "-q", "changed", COMMITTED])?;
                self.forget(COMMITTED);
                self.run(&["rm", "changed"])?;
                wall
            }
            Work::Remove => {
                _ = self.run(&["rm", "-f", "changed"]);
                self.run(&["rmi", LOADED])?.0
            }
            Work::Build => {
                let (wall, _) = timed(&mut self.build(material))?;
                material.check_built(&self.run(&["run", "--rm", NETWORK, LIMITS[0], LIMITS[1], BUILT])?.1)?;
                self.forget(BUILT);
                wall
            }
            Work::Append => {
                return material::appended(
                    &self.run(&["run", "--rm", NETWORK, LIMITS[0], LIMITS[1], LARGE, "sh", "-c", APPEND])?.1,
                );
            }
        };
        Ok(Answer::total(wall))
    }

    fn crowd(&mut self, name: &str, archive: &Path) -> Result<bool> {
        let mut import = self.command(&["import", "-q"]);
        timed(import.arg(archive).arg(name))?;
        self.run(&["create", "--name", name, NETWORK, LIMITS[0], LIMITS[1], LOADED, "true"])?;
        Ok(true)
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
