use std::fs;

use clap::Args;
use harness_container::{Containers, Status};
use harness_image::Store;
use serde_json::{Value, json};

use super::{doctor, format};
use crate::{
    cli::Common,
    commands::print,
    drivers::DRIVERS,
    failure::Result,
    place::Place,
    scratch::{Purpose, Scratch},
};

/// Tell what is kept here, with which storage driver, and on what kind of host
///
/// What each driver needs, and what it lacks here, tells `harness doctor`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub common: Common,
    /// A template instead of all: '{{.Driver}}', '{{json .DriverStatus}}'; or json for one line
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// As docker prints it.
const TEXT: &str = "\
Containers: {{.Containers}}
 Running: {{.ContainersRunning}}
 Paused: {{.ContainersPaused}}
 Stopped: {{.ContainersStopped}}
Images: {{.Images}}
Server Version: {{.ServerVersion}}
Storage Driver: {{.Driver}}
{{range .DriverStatus}} {{index . 0}}: {{index . 1}}
{{end}}Logging Driver: {{.LoggingDriver}}
Cgroup Driver: {{.CgroupDriver}}
Cgroup Version: {{.CgroupVersion}}
Plugins:
 Volume: {{join .Plugins.Volume ` `}}
 Network: {{join .Plugins.Network ` `}}
 Log: {{join .Plugins.Log ` `}}
Runtimes: {{range $name, $_ := .Runtimes}}{{$name}} {{end}}
Default Runtime: {{.DefaultRuntime}}
Security Options: {{join .SecurityOptions ` `}}
Kernel Version: {{.KernelVersion}}
Operating System: {{.OperatingSystem}}
OSType: {{.OSType}}
Architecture: {{.Architecture}}
CPUs: {{.NCPU}}
Total Memory: {{.TotalMemory}}
Name: {{.Name}}
Root Dir: {{.DockerRootDir}}{{range .Warnings}}
WARNING: {{.}}{{end}}";

pub fn run(args: &InfoArgs) -> Result {
    let info = info(&Place::choose(args.common.root.as_deref()))?;
    print(&format::filled(args.format.as_deref().unwrap_or(TEXT), &info)?)
}

fn info(place: &Place) -> Result<Value> {
    let containers = Containers::open(place.containers())?.list()?;
    let count = |is: fn(&Status) -> bool| containers.iter().filter(|(_, status)| is(status)).count();
    let running = count(|status| matches!(status, Status::Running | Status::Restarting));
    let paused = count(|status| *status == Status::Paused);
    let memory = doctor::memory().get();
    let (cgroup_version, controllers) = doctor::controllers();
    let has = |name: &str| controllers.iter().any(|controller| controller == name);
    let lacks = |name: &&str| !has(name);
    let mut warnings: Vec<_> = ["memory", "cpu", "cpuset", "pids"]
        .into_iter()
        .filter(lacks)
        .map(|name| format!("No {name} limit support"))
        .collect();
    let (driver, status) = match driver(place)? {
        Some((name, status)) => (name, status),
        None => {
            warnings.push("No storage driver works here; `harness doctor` tells why".to_owned());
            ("", Vec::new())
        }
    };
    let host = rustix::system::uname();
    Ok(json!({
        "Containers": containers.len(), "ContainersRunning": running, "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": Store::open(&place.images())?.list()?.len(),
        "Driver": driver, "DriverStatus": status,
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "none"], "Log": ["json-file", "none"]},
        "MemoryLimit": has("memory"), "SwapLimit": has("memory"), "CpuCfsPeriod": has("cpu"), "CpuCfsQuota": has("cpu"),
        "CPUShares": has("cpu"), "CPUSet": has("cpuset"), "PidsLimit": has("pids"),
        "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs", "CgroupVersion": cgroup_version.to_string(),
        "KernelVersion": doctor::kernel(), "OperatingSystem": operating_system(), "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "MemTotal": memory, "TotalMemory": crate::table::binary(memory),
        "DockerRootDir": place.path(), "Name": host.nodename().to_string_lossy(),
        "ServerVersion": env!("CARGO_PKG_VERSION"), "Runtimes": {"harness": {"path": ""}}, "DefaultRuntime": "harness",
        "SecurityOptions": ["name=seccomp,profile=default"], "Labels": [], "ExperimentalBuild": false,
        "IndexServerAddress": "https://index.docker.io/v1/", "LiveRestoreEnabled": true, "Warnings": warnings,
    }))
}

/// A driver's name, and what it says of itself.
type Told = (&'static str, Vec<(String, String)>);

/// The driver that commands take which are not told one.
fn driver(place: &Place) -> Result<Option<Told>> {
    let scratch = Scratch::make(place, Purpose::Trial)?;
    let usable = DRIVERS.iter().find_map(|entry| Some((entry.name, entry.try_out(scratch.path()).ok()?)));
    Ok(usable.map(|(name, driver)| (name, driver.status().pairs.into_iter().collect())))
}

/// Its name for people (os-release(5)).
fn operating_system() -> String {
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let text = text.unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches(['"', '\'']).to_owned()
}
