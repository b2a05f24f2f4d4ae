//! docker: a daemon of its own, its command with the classic builder, and its API without the command.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use harness_testbed::Testbed;

use super::{
    bed,
    engine::{Answer, Engine, Work},
    http::request,
    material::{self, APPEND, BUILT, CHANGE, COMMITTED, LARGE, LOADED, Material},
    process::{Daemon, high_water, text, timed},
};

/// The package's, not another that may come first in PATH.
const CLIENT: &str = "/usr/bin/docker";
const DAEMON: &str = "/usr/sbin/dockerd";

struct Docker {
    name: String,
    socket: PathBuf,
    daemon: Daemon,
    bed: Testbed,
}

pub fn open(driver: &str) -> Result<Box<dyn Engine>> {
    let bed = bed::make("dockerd", driver)?;
    let dir = bed.path().to_owned();
    let socket = dir.join("s");
    let mut command = Command::new(DAEMON);
    command.args([
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
        "--userland-proxy=false",
    ]);
    command.arg(format!("--storage-driver={driver}"));
    command.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
    command.arg("--pidfile").arg(dir.join("pid")).arg("-H").arg(format!("unix://{}", socket.display()));
    // None of this machine's own settings.
    fs::write(dir.join("daemon.json"), "{}")?;
    command.arg("--config-file").arg(dir.join("daemon.json"));
    let daemon = Daemon::start(command, &dir.join("log"), &socket)?;
    Ok(Box::new(Docker { name: format!("dockerd/{driver}"), socket, daemon, bed }))
}

impl Docker {
    fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CLIENT);
        command.arg("-H").arg(format!("unix://{}", self.socket.display())).args(args).env("DOCKER_BUILDKIT", "0");
        command
    }

    fn run(&self, args: &[&str]) -> Result<(Duration, String)> {
        timed(&mut self.client(args)).map(|(wall, output)| (wall, text(&output)))
    }

    fn load(&self, archive: &std::path::Path) -> Command {
        let mut command = self.client(&["load", "-q", "-i"]);
        command.arg(archive);
        command
    }

    fn build(&self, material: &Material) -> Command {
        let mut command = self.client(&["build", "-q", "--no-cache", "--network", "none", "-t", BUILT]);
        command.arg(material.context());
        command
    }

    fn forget(&self, image: &str) {
        _ = self.run(&["rmi", "-f", image]);
    }

    fn api(&self, method: &str, path: &str, body: &str) -> Result<String> {
        request(&self.socket, method, &format!("/v1.41{path}"), body)
    }

    fn lifecycle(&self) -> Result<Answer> {
        let mut times = BTreeMap::new();
        let (start, mut last) = (Instant::now(), Instant::now());
        let mut phase = |name| {
            times.insert(name, last.elapsed());
            last = Instant::now();
        };
        let body = format!(r#"{{"Image":"{LOADED}","Cmd":["true"],"HostConfig":{{"NetworkMode":"none"}}}}"#);
        let made: serde_json::Value = serde_json::from_str(&self.api("POST", "/containers/create", &body)?)?;
        let id = made["Id"].as_str().context("dockerd made a container without an id")?.to_owned();
        phase("create");
        self.api("POST", &format!("/containers/{id}/start"), "")?;
        phase("start");
        let ended: serde_json::Value =
            serde_json::from_str(&self.api("POST", &format!("/containers/{id}/wait"), "")?)?;
        phase("wait");
        self.api("DELETE", &format!("/containers/{id}"), "")?;
        phase("remove");
        if ended["StatusCode"] != 0 {
            bail!("`true` ended with {}", ended["StatusCode"]);
        }
        times.insert("total", start.elapsed());
        Ok(Answer::Took(times))
    }
}

impl Engine for Docker {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Result<String> {
        Ok(self.run(&["version", "--format", "{{.Server.Version}}"])?.1)
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
            Work::Run => self.run(&["run", "--rm", "--network", "none", LOADED, "true"])?.0,
            Work::Lifecycle => return self.lifecycle(),
            Work::Change => {
                _ = self.run(&["rm", "-f", "changed"]);
                self.run(&["run", "--name", "changed", "--network", "none", LOADED, "sh", "-c", CHANGE])?.0
            }
            Work::Diff => {
                let (wall, listed) = self.run(&["diff", "changed"])?;
                material::expect_changes(listed.lines().count())?;
                wall
            }
            Work::Commit => {
                let (wall, _) = self.run(&["commit", "changed", COMMITTED])?;
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
                material.check_built(&self.run(&["run", "--rm", "--network", "none", BUILT])?.1)?;
                self.forget(BUILT);
                wall
            }
            Work::Append => {
                return material::appended(
                    &self.run(&["run", "--rm", "--network", "none", LARGE, "sh", "-c", APPEND])?.1,
                );
            }
        };
        Ok(Answer::total(wall))
    }

    fn crowd(&mut self, name: &str, archive: &std::path::Path) -> Result<bool> {
        let mut import = self.client(&["import"]);
        timed(import.arg(archive).arg(name))?;
        self.run(&["create", "--name", name, "--network", "none", LOADED, "true"])?;
        Ok(true)
    }

    fn peak(&mut self, work: Work, material: &Material) -> Result<Option<u64>> {
        let mut command = match work {
            Work::Load => {
                self.forget(LOADED);
                self.load(&material.archive())
            }
            Work::Build => self.build(material),
            _ => return Ok(None),
        };
        // proc_pid_clear_refs(5): 5 sets the high-water mark back to what is held now.
        let daemon = self.daemon.id();
        fs::write(format!("/proc/{daemon}/clear_refs"), "5").context("cannot reset dockerd's memory mark")?;
        timed(&mut command)?;
        let peak = high_water(daemon);
        self.forget(if work == Work::Load { LOADED } else { BUILT });
        Ok(peak)
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self.daemon);
        Ok(self.bed.close()?)
    }
}
