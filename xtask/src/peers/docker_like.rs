//! What docker and podman do by the same commands.

use std::{path::Path, process::Command, time::Duration};

use anyhow::Result;
use harness_testbed::Testbed;

use super::{
    bed,
    engine::{Answer, Work},
    material::{self, APPEND, BUILT, CHANGE, COMMITTED, LARGE, LOADED, Material},
    process::{text, timed},
};

/// An engine whose commands are docker's.
pub trait DockerLike {
    /// What containers and builds are given: no network, and limits that every machine allows.
    const OPTIONS: &'static [&'static str];
    /// Keeps `commit` and `import` from talking.
    const QUIET: &'static [&'static str];

    /// Its program with these arguments, on its own data.
    fn command(&self, args: &[&str]) -> Command;

    /// Where that is.
    fn data(&self) -> &Testbed;

    /// Removes an image that may be there.
    fn forget(&self, image: &str);

    /// A container's life step by step.
    fn lifecycle(&self) -> Result<Answer>;

    fn run(&self, args: &[&str]) -> Result<(Duration, String)> {
        timed(&mut self.command(args)).map(|(wall, output)| (wall, text(&output)))
    }

    /// A command that makes a container or builds, with its options.
    fn make(&self, command: &[&str], args: &[&str]) -> Result<(Duration, String)> {
        self.run(&[command, Self::OPTIONS, args].concat())
    }

    fn load(&self, archive: &Path) -> Command {
        let mut command = self.command(&["load", "-q", "-i"]);
        command.arg(archive);
        command
    }

    fn build(&self, material: &Material) -> Command {
        let mut command = self.command(&[&["build", "-q", "--no-cache"], Self::OPTIONS, &["-t", BUILT]].concat());
        command.arg(material.context());
        command
    }

    /// Loads what work stands on.
    fn load_others(&self, material: &Material) -> Result<()> {
        material.others().iter().try_for_each(|archive| timed(&mut self.load(archive)).map(drop))
    }

    /// Does the work.
    fn work(&self, work: Work, material: &Material) -> Result<Answer> {
        let wall = match work {
            Work::Load => {
                self.forget(LOADED);
                bed::sync(self.data())?;
                timed(&mut self.load(&material.archive()))?.0
            }
            Work::Run => self.make(&["run", "--rm"], &[LOADED, "true"])?.0,
            Work::Lifecycle => return self.lifecycle(),
            Work::Change => {
                _ = self.run(&["rm", "-f", "changed"]);
                self.make(&["run", "--name", "changed"], &[LOADED, "sh", "-c", CHANGE])?.0
            }
            Work::Diff => {
                let (wall, listed) = self.run(&["diff", "changed"])?;
                material::expect_changes(listed.lines().count())?;
                wall
            }
            Work::Commit => {
                let (wall, _) = self.run(&[&["commit"], Self::QUIET, &["changed", COMMITTED]].concat())?;
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
                material.check_built(&self.make(&["run", "--rm"], &[BUILT])?.1)?;
                self.forget(BUILT);
                wall
            }
            Work::Append => return material::appended(&self.make(&["run", "--rm"], &[LARGE, "sh", "-c", APPEND])?.1),
        };
        Ok(Answer::total(wall))
    }

    /// One more image and container by this name.
    fn add_to_crowd(&self, name: &str, archive: &Path) -> Result<()> {
        let mut import = self.command(&[&["import"], Self::QUIET].concat());
        timed(import.arg(archive).arg(name))?;
        self.make(&["create", "--name", name], &[LOADED, "true"]).map(drop)
    }
}
