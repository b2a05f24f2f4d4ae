use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use storage_driver::Bytes;

use crate::{
    cli::Common,
    commands::print,
    drivers::DRIVERS,
    failure::Result,
    place::Place,
    scratch::{Purpose, Scratch},
    table,
};

/// Tell what this host has, and what each driver that cannot run here is missing
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(args: &DoctorArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let scratch = Scratch::make(&place, Purpose::Trial)?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, found: String| rows.push(vec![what.to_owned(), found]);
    row("kernel", kernel());
    row("user", user());
    row("data directory", format!("{} on {}", place.path().display(), file_system(place.path())));
    row("file systems", known_file_systems());
    row("overlay parameters", parameters("overlay"));
    row("device-mapper", present("/dev/mapper/control", "no: the kernel has none; its option is CONFIG_BLK_DEV_DM"));
    row("loop devices", present("/dev/loop-control", "no: the kernel has none; its option is CONFIG_BLK_DEV_LOOP"));
    row("cgroups", cgroups());
    row("user namespaces", read("/proc/sys/user/max_user_namespaces") + " at most");
    for (program, package) in TOOLS {
        let found = find(program)
            .map_or_else(|| format!("missing; Debian: apt-get install {package}"), |path| path.display().to_string());
        row(program, found);
    }
    for entry in DRIVERS {
        match entry.try_out(scratch.path()) {
            Ok(driver) => {
                row(entry.name, "usable".to_owned());
                for (name, value) in driver.status().pairs {
                    row("", format!("{name}: {value}"));
                }
            }
            Err(error) => row(entry.name, format!("not usable: {error}")),
        }
    }
    print(&table::columns(&["WHAT", "FOUND"], &rows))
}

/// Programs that testbeds and user namespaces use, with the Debian package of each.
const TOOLS: [(&str, &str); 4] =
    [("mkfs.ext4", "e2fsprogs"), ("mkfs.xfs", "xfsprogs"), ("mkfs.btrfs", "btrfs-progs"), ("newuidmap", "uidmap")];

/// The host's memory.
pub fn memory() -> Bytes {
    let info = rustix::system::sysinfo();
    Bytes(info.totalram.saturating_mul(info.mem_unit.into()))
}

/// The kernel's release.
pub fn kernel() -> String {
    read("/proc/sys/kernel/osrelease")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|error| format!("cannot read {path}: {error}"), |text| text.trim().to_owned())
}

fn user() -> String {
    let id = rustix::process::geteuid().as_raw();
    if storage_sys::userns::is_active() { format!("{id}, in a user namespace") } else { id.to_string() }
}

fn file_system(path: &Path) -> String {
    storage_sys::statfs::of(path).map_or_else(|error| error.to_string(), |found| found.to_string())
}

fn known_file_systems() -> String {
    let known = read("/proc/filesystems");
    let wanted = ["overlay", "ext4", "xfs", "btrfs", "fuse", "erofs", "tmpfs"];
    let has = |name: &&str| known.lines().any(|line| line.split_whitespace().last() == Some(name));
    wanted.into_iter().filter(has).collect::<Vec<_>>().join(" ")
}

fn parameters(module: &str) -> String {
    let dir = PathBuf::from("/sys/module").join(module).join("parameters");
    let Ok(entries) = fs::read_dir(&dir) else { return format!("none ({} is not loaded)", module) };
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| format!("{}={}", entry.file_name().display(), read(&entry.path().to_string_lossy())))
        .collect();
    found.sort();
    found.join(" ")
}

fn present(path: &str, absent: &str) -> String {
    if Path::new(path).exists() { "yes".to_owned() } else { absent.to_owned() }
}

fn cgroups() -> String {
    match controllers() {
        (_, found) if found.is_empty() => "no controllers for limits".to_owned(),
        (version, found) => format!("v{version}: {}", found.join(" ")),
    }
}

/// The version of cgroups that limits are set with, and its controllers.
pub fn controllers() -> (u8, Vec<String>) {
    let two = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !two.trim().is_empty() {
        return (2, two.split_whitespace().map(str::to_owned).collect());
    }
    let is_there = |name: &&str| Path::new("/sys/fs/cgroup").join(name).is_dir();
    (1, ["memory", "cpu", "cpuset", "pids", "blkio"].into_iter().filter(is_there).map(str::to_owned).collect())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|path| path.is_file())
}
