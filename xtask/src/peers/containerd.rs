//! containerd with ctr.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};
use harness_testbed::Testbed;

use super::{
    bed,
    engine::{Answer, Engine, Work},
    material::{self, APPEND, LARGE, LOADED, Material},
    process::{Daemon, high_water, text, timed},
};

const CLIENT: &str = "/usr/bin/ctr";
const DAEMON: &str = "/usr/bin/containerd";

/// What is not done, and why.
const NO_BUILD: &str = "containerd builds nothing: that is BuildKit's work";
const NO_COMMIT: &str = "ctr makes no image of a container, and lists no changes; its `snapshots diff` writes a tar";

struct Containerd {
    name: String,
    snapshotter: &'static str,
    socket: PathBuf,
    daemon: Daemon,
    bed: Testbed,
    made: u32,
}

pub fn open(driver: &str) -> Result<Box<dyn Engine>> {
    let snapshotter = match driver {
        "overlay2" => "overlayfs",
        "vfs" => "native",
        _ => "btrfs",
    };
    let bed = bed::make("containerd", driver)?;
    let dir = bed.path().to_owned();
    let (socket, config) = (dir.join("s"), dir.join("config.toml"));
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(
        &config,
        format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            path("root"),
            path("state"),
            path("s"),
            path("t")
        ),
    )?;
    let mut command = Command::new(DAEMON);
    command.arg("--config").arg(&config);
    let daemon = Daemon::start(command, &dir.join("log"), &socket)?;
    Ok(Box::new(Containerd { name: format!("containerd/{snapshotter}"), snapshotter, socket, daemon, bed, made: 0 }))
}

impl Containerd {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CLIENT);
        command.arg("-a").arg(&self.socket).args(["-n", "harness-peers"]).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Result<(Duration, String)> {
        timed(&mut self.command(args)).map(|(wall, output)| (wall, text(&output)))
    }

    fn load(&self, archive: &std::path::Path) -> Command {
        let mut command = self.command(&["images", "import", "--snapshotter", self.snapshotter]);
        command.arg(archive);
        command
    }

    fn container(&mut self, image: &str, command: &[&str]) -> Result<(Duration, String)> {
        self.made += 1;
        let name = format!("c{}", self.made);
        let args = ["run", "--rm", "--snapshotter", self.snapshotter, image, &name];
        self.run(&[&args[..], command].concat())
    }
}

impl Engine for Containerd {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Result<String> {
        let (_, told) = self.run(&["version"])?;
        let version = told.lines().rev().find_map(|line| line.trim().strip_prefix("Version:"));
        Ok(version.context("ctr tells no version")?.trim().to_owned())
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
                _ = self.run(&["images", "rm", "--sync", LOADED]);
                bed::sync(&self.bed)?;
                timed(&mut self.load(&material.archive()))?.0
            }
            Work::Run => self.container(LOADED, &["true"])?.0,
            Work::Lifecycle => return Ok(Answer::Cannot("ctr attaches to what it starts; `ctr run` is what it has")),
            Work::Change | Work::Diff | Work::Commit => return Ok(Answer::Cannot(NO_COMMIT)),
            Work::Remove => self.run(&["images", "rm", "--sync", LOADED])?.0,
            Work::Build => return Ok(Answer::Cannot(NO_BUILD)),
            Work::Append => return material::appended(&self.container(LARGE, &["sh", "-c", APPEND])?.1),
        };
        Ok(Answer::total(wall))
    }

    fn peak(&mut self, work: Work, material: &Material) -> Result<Option<u64>> {
        if work != Work::Load {
            return Ok(None);
        }
        _ = self.run(&["images", "rm", "--sync", LOADED]);
        let daemon = self.daemon.id();
        fs::write(format!("/proc/{daemon}/clear_refs"), "5").context("cannot reset containerd's memory mark")?;
        timed(&mut self.load(&material.archive()))?;
        let peak = high_water(daemon);
        self.run(&["images", "rm", "--sync", LOADED])?;
        Ok(peak)
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self.daemon);
        Ok(self.bed.close()?)
    }
}
