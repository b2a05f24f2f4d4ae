//! This project's engine: its release build, each command a process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
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

struct Ours {
    name: String,
    driver: String,
    sync: bool,
    program: PathBuf,
    bed: Testbed,
}

/// With `sync` what a command makes is durable when it returns, as always; without it nothing is.
pub fn open(program: &Path, driver: &str, sync: bool) -> Result<Box<dyn Engine>> {
    let (label, name) = if sync { ("ours", driver.to_owned()) } else { ("ours-nosync", format!("{driver}/sync=off")) };
    let bed = bed::make(label, driver)?;
    Ok(Box::new(Ours { name, driver: driver.to_owned(), sync, program: program.to_owned(), bed }))
}

impl Ours {
    /// A command that works on the driver.
    fn on_driver(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(args[0]).arg("--root").arg(self.bed.path().join("root")).args(["--driver", &self.driver]);
        if !self.sync {
            command.args(["--driver-opt", "sync=off"]);
        }
        command.args(&args[1..]);
        command
    }

    /// One that works on the store, or on a container, whose record names the driver.
    fn on_store(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(args[0]).arg("--root").arg(self.bed.path().join("root")).args(&args[1..]);
        command
    }

    fn load(&self, archive: &Path) -> Command {
        let mut command = self.on_driver(&["load", "-q", "-i"]);
        command.arg(archive);
        command
    }

    fn build(&self, material: &Material) -> Command {
        let mut command = self.on_driver(&["build", "-q", "--no-cache", "--network", "none", "-t", BUILT]);
        command.arg(material.context());
        command
    }

    fn run(&self, args: &[&str]) -> Result<(Duration, String)> {
        timed(&mut self.on_driver(args)).map(|(wall, output)| (wall, text(&output)))
    }

    /// Without a network, as the others.
    fn make(&self, args: &[&str]) -> Result<(Duration, String)> {
        self.run(&[&args[..1], &["--network", "none"], &args[1..]].concat())
    }

    /// By four commands, as with podman.
    fn lifecycle(&self) -> Result<Answer> {
        let (create, id) = self.make(&["create", LOADED, "true"])?;
        let mut times = BTreeMap::from([("create", create)]);
        for (phase, command) in [("start", "start"), ("wait", "wait"), ("remove", "rm")] {
            times.insert(phase, timed(&mut self.on_store(&[command, &id]))?.0);
        }
        times.insert("total", times.values().sum());
        Ok(Answer::Took(times))
    }

    /// Once until the room is free again, and, loaded anew, until the image is gone.
    fn remove(&self, material: &Material) -> Result<Answer> {
        let (wall, _) = timed(&mut self.on_store(&["rmi", LOADED]))?;
        timed(&mut self.load(&material.archive()))?;
        bed::sync(&self.bed)?;
        let layers = self.bed.path().join("root/drivers").join(&self.driver).join("layers");
        let count = || std::fs::read_dir(&layers).map_or(0, Iterator::count);
        let before = count();
        let (no_wait, _) = timed(&mut self.on_store(&["rmi", "--no-wait", LOADED]))?;
        // What goes on in the background is not the next work's to pay for; a command comes after it.
        while count() == before {
            std::thread::sleep(Duration::from_millis(5));
        }
        timed(&mut self.on_store(&["gc"]))?;
        Ok(Answer::Took(BTreeMap::from([("total", wall), ("with --no-wait", no_wait)])))
    }

    fn forget(&self, image: &str) {
        _ = timed(&mut self.on_store(&["rmi", "-f", image]));
    }
}

impl Engine for Ours {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Result<String> {
        Ok(text(&timed(Command::new(&self.program).arg("--version"))?.1))
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
            Work::Run => self.make(&["run", "--rm", LOADED, "true"])?.0,
            Work::Lifecycle => return self.lifecycle(),
            Work::Change => {
                _ = timed(&mut self.on_store(&["rm", "changed"]));
                self.make(&["run", "--name", "changed", LOADED, "sh", "-c", CHANGE])?.0
            }
            Work::Diff => {
                let (wall, output) = timed(&mut self.on_store(&["diff", "changed"]))?;
                material::expect_changes(text(&output).lines().count())?;
                wall
            }
            Work::Commit => {
                let (wall, _) = timed(&mut self.on_store(&["commit", "changed", COMMITTED]))?;
                self.forget(COMMITTED);
                timed(&mut self.on_store(&["rm", "changed"])).context("cannot remove the container")?;
                wall
            }
            Work::Remove => {
                // Where nothing was committed, the container of the changes is still there.
                _ = timed(&mut self.on_store(&["rm", "changed"]));
                return self.remove(material);
            }
            Work::Build => {
                let (wall, _) = timed(&mut self.build(material))?;
                material.check_built(&self.make(&["run", "--rm", BUILT])?.1)?;
                self.forget(BUILT);
                wall
            }
            Work::Append => return material::appended(&self.make(&["run", "--rm", LARGE, "sh", "-c", APPEND])?.1),
        };
        Ok(Answer::total(wall))
    }

    fn crowd(&mut self, name: &str, archive: &Path) -> Result<bool> {
        let mut import = self.on_store(&["import"]);
        timed(import.arg(archive).arg(name))?;
        self.make(&["create", "--name", name, LOADED, "true"])?;
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
        Ok(self.bed.close()?)
    }
}
