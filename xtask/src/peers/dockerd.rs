//! docker: a daemon of its own, its command with the classic builder, and its API without the command.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use harness_testbed::Testbed;

use super::{
    bed,
    docker_like::DockerLike,
    engine::{Answer, Engine, Work},
    http::request,
    material::{BUILT, LOADED, Material},
    process::{Daemon, high_water, timed},
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
    fn api(&self, method: &str, path: &str, body: &str) -> Result<String> {
        request(&self.socket, method, &format!("/v1.41{path}"), body)
    }
}

impl DockerLike for Docker {
    const OPTIONS: &'static [&'static str] = &["--network", "none"];
    const QUIET: &'static [&'static str] = &[];

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CLIENT);
        command.arg("-H").arg(format!("unix://{}", self.socket.display())).args(args).env("DOCKER_BUILDKIT", "0");
        command
    }

    fn data(&self) -> &Testbed {
        &self.bed
    }

    fn forget(&self, image: &str) {
        _ = self.run(&["rmi", "-f", image]);
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
        self.load_others(material)
    }

    fn perform(&mut self, work: Work, material: &Material) -> Result<Answer> {
        self.work(work, material)
    }

    fn crowd(&mut self, name: &str, archive: &Path) -> Result<bool> {
        self.add_to_crowd(name, archive).map(|()| true)
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
