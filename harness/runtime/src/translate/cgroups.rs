//! Cgroups as a container sees them: what the specification's mounts of type `cgroup` stand for.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder};

use super::mounts;
use crate::{Error, Result, cgroup::Cgroup, plan::MountStep};

/// Where cgroup file systems are mounted on the host, by convention.
const HOST: &str = "/sys/fs/cgroup";

/// Whether `mount` asks for a view of the cgroups, rather than for a file system.
pub(super) fn is_view(mount: &Mount) -> bool {
    matches!(mount.typ().as_deref(), Some("cgroup" | "cgroup2"))
}

/// The steps that give the view: on version 2 one mount, on version 1 one a hierarchy of the host in a tmpfs.
///
/// In an own cgroup namespace they are new mounts, which show the container's cgroup as their root. Else on version 2 the
/// host's tree is bound, and on version 1, as other runtimes do, the directories of the container's `cgroup`, or where it has none
/// those that this process is in. Read-only they are made later, all at once.
pub(super) fn steps(
    mount: &Mount,
    own_namespace: bool,
    cgroup: Option<&Cgroup>,
    steps: &mut Vec<MountStep>,
) -> Result<()> {
    let target = mount.destination();
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").map_err(Error::io("read /proc/self/mountinfo"))?;
    let options: Vec<String> = mount.options().iter().flatten().filter(|option| *option != "ro").cloned().collect();
    let mut add = |target: &Path, kind: &str, source: &Path, more: &[&str]| {
        let mut all = options.clone();
        all.extend(more.iter().map(|&option| option.to_owned()));
        let mount = MountBuilder::default().destination(target).typ(kind).source(source).options(all).build();
        steps.push(mounts::step(&mount.map_err(|error| Error::invalid("mounts", error.to_string()))?)?);
        Ok::<_, Error>(())
    };
    match (hierarchies(&mountinfo), own_namespace) {
        (View::Two, true) => add(target, "cgroup2", Path::new("cgroup"), &[]),
        (View::Two, false) => add(target, "bind", Path::new(HOST), &["bind"]),
        (View::One(hierarchies), _) => {
            add(target, "tmpfs", Path::new("cgroup"), &["mode=755"])?;
            let ours = std::fs::read_to_string("/proc/self/cgroup").map_err(Error::io("read /proc/self/cgroup"))?;
            for hierarchy in hierarchies {
                let name = hierarchy.place.file_name().map_or(hierarchy.place.as_path(), Path::new);
                let target = target.join(name);
                let controllers: Vec<&str> = hierarchy.controllers.iter().map(String::as_str).collect();
                if own_namespace {
                    add(&target, "cgroup", Path::new("cgroup"), &controllers)?;
                } else {
                    let own = cgroup.and_then(|cgroup| controllers.iter().find_map(|name| cgroup.named(name)));
                    let directory = own.map_or_else(|| hierarchy.directory_of(&ours), Path::to_owned);
                    add(&target, "bind", &directory, &["bind"])?;
                }
            }
            Ok(())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum View {
    One(Vec<Hierarchy>),
    Two,
}

/// A mounted hierarchy of version 1.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    place: PathBuf,
    /// In the words of its mount options.
    controllers: Vec<String>,
}

impl Hierarchy {
    /// Where a process is in it whose file of the form of cgroups(7), `/proc/PID/cgroup`, this is.
    fn directory_of(&self, cgroups: &str) -> PathBuf {
        let path = cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let named = fields.next()?.split(',').any(|name| self.controllers.iter().any(|own| own == name));
            fields.next().filter(|_| named)
        });
        let below = path.and_then(|path| path.strip_prefix('/')).filter(|path| !path.is_empty());
        // What is not below the mount's root, or above this process's cgroup namespace, is not to be found here.
        let directory = below.map_or_else(|| self.place.clone(), |below| self.place.join(below));
        if directory.is_dir() { directory } else { self.place.clone() }
    }
}

/// Finds them in a file of the form of proc_pid_mountinfo(5).
fn hierarchies(mountinfo: &str) -> View {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let (Some(place), Some(kind)) = (head.split(' ').nth(4), tail.split(' ').next()) else { continue };
        if kind == "cgroup2" && place == HOST {
            return View::Two;
        }
        let is_one = kind == "cgroup" && Path::new(place).parent() == Some(Path::new(HOST));
        if !is_one || found.iter().any(|known| known.place == Path::new(place)) {
            continue;
        }
        let mut controllers = Vec::new();
        for option in tail.split(' ').nth(2).unwrap_or_default().split(',').filter(|option| names_hierarchy(option)) {
            // A hierarchy with a name and no controller says so.
            controllers.extend(option.starts_with("name=").then(|| "none".to_owned()));
            controllers.push(option.to_owned());
        }
        found.push(Hierarchy { place: place.into(), controllers });
    }
    View::One(found)
}

fn names_hierarchy(option: &str) -> bool {
    let of_the_mount = ["rw", "ro", "clone_children", "xattr", "cpuset_v2_mode", "noprefix", "favordynmods"];
    !of_the_mount.contains(&option) && !option.starts_with("release_agent=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let one = "30 20 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n\
                   31 20 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                   32 20 0:27 / /elsewhere rw - cgroup cgroup rw,pids\n\
                   33 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let hierarchy = |place: &str, controllers: &[&str]| Hierarchy {
            place: place.into(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        };
        let expected = vec![
            hierarchy("/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"]),
            hierarchy("/sys/fs/cgroup/systemd", &["none", "name=systemd"]),
        ];
        assert_eq!(hierarchies(one), View::One(expected));
        assert_eq!(hierarchies("30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), View::Two);
    }
}
