//! The directory that an external runtime gets of a container.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use oci_spec::runtime::{Mount, MountBuilder, Process as ProcessSpec, Spec};

use super::ExternalRuntime;
use crate::{ContainerFile, Error, Result, proc::Stat};

/// Whose end makes the container stale: a process id and a start time.
const OWNER: &str = "owner";

/// A bundle, as config.md and bundle.md of the OCI runtime specification have it, with files of ours beside.
#[derive(Debug, Clone, Default)]
pub(super) struct Bundle {
    /// Of all containers of the runtime.
    base: PathBuf,
    id: String,
}

impl Bundle {
    /// Where that of the container `id` is.
    pub(super) fn of(runtime: &ExternalRuntime, id: &str) -> Self {
        Self { base: base(runtime), id: id.to_owned() }
    }

    /// Those that there are.
    pub(super) fn all(runtime: &ExternalRuntime) -> Result<Vec<Self>> {
        let base = base(runtime);
        let entries = match fs::read_dir(base.join("bundles")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io(format!("read {}", base.display())))?,
        };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(ids.map(|id| Self { base: base.clone(), id }).collect())
    }

    /// Makes one. One of the same id that a starter has left which is dead by now is removed first, with its container.
    pub(super) fn make(runtime: &ExternalRuntime, id: &str, mut spec: Spec, files: &[ContainerFile]) -> Result<Self> {
        let bundle = Self::of(runtime, id);
        if bundle.path().exists() {
            if !bundle.is_stale() {
                return Err(Error::invalid(format!("id {id}"), "a running container has it"));
            }
            runtime.remove(&bundle);
        }
        let failed = || Error::io(format!("make the bundle {}", bundle.path().display()));
        fs::create_dir_all(bundle.state()).map_err(failed())?;
        fs::create_dir_all(bundle.path()).map_err(failed())?;
        bundle.fill(&mut spec, files).inspect_err(|_| bundle.remove())?;
        Ok(bundle)
    }

    fn fill(&self, spec: &mut Spec, files: &[ContainerFile]) -> Result<()> {
        let failed = || Error::io(format!("make the bundle {}", self.path().display()));
        self.set_owner(std::process::id())?;
        for file in files {
            let copy = self.copy_of(&file.path);
            fs::write(&copy, &file.content).map_err(failed())?;
            let mount: Mount = MountBuilder::default()
                .destination(&file.path)
                .typ("bind")
                .source(copy)
                .options(["bind", "rprivate"].map(str::to_owned))
                .build()
                .map_err(|error| Error::invalid("files", error.to_string()))?;
            spec.mounts_mut().get_or_insert_default().push(mount);
        }
        self.write("config.json", &spec)
    }

    /// With this process's end the container is stale.
    pub(super) fn set_owner(&self, pid: u32) -> Result<()> {
        let failed = || Error::io(format!("make the bundle {}", self.path().display()));
        let started = Stat::read(pid).map_err(failed())?.map_or(0, |stat| stat.start_ticks);
        fs::write(self.path().join(OWNER), format!("{pid} {started}")).map_err(failed())
    }

    /// Where the copy of a container's file is, which is bound to its place.
    fn copy_of(&self, path: &Path) -> PathBuf {
        self.path().join(format!("file{}", path.display().to_string().replace('/', "%")))
    }

    /// Gives files that are bound already another content.
    pub(super) fn rewrite(&self, files: &[ContainerFile]) -> Result<()> {
        for file in files {
            let copy = self.copy_of(&file.path);
            if !copy.exists() {
                let what = format!("the file {} that is known late, under another OCI runtime", file.path.display());
                return Err(Error::Unsupported { what, remedy: "give the file, empty, at the launch too" });
            }
            fs::write(&copy, &file.content).map_err(Error::io(format!("write {}", copy.display())))?;
        }
        Ok(())
    }

    /// Writes the process of a further program; the file is the caller's to remove.
    pub(super) fn write_process(&self, process: &ProcessSpec) -> Result<PathBuf> {
        let (name, _) = self.fresh_names();
        let name = name.with_extension("json");
        self.write(&name.file_name().unwrap_or_default().to_string_lossy(), process)?;
        Ok(name)
    }

    fn write(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let path = self.path().join(name);
        let bytes =
            serde_json::to_vec(value).map_err(|error| Error::invalid("the specification", error.to_string()))?;
        fs::write(&path, bytes).map_err(Error::io(format!("write {}", path.display())))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn path(&self) -> PathBuf {
        self.base.join("bundles").join(&self.id)
    }

    /// What the runtime itself keeps.
    pub(super) fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// Names for a file with a process id and a socket, which nobody else uses.
    pub(super) fn fresh_names(&self) -> (PathBuf, PathBuf) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        (self.path().join(format!("{name}.pid")), self.path().join(format!("{name}.s")))
    }

    /// Whether its owner is gone: who has started it, or itself where it may outlive that.
    pub(super) fn is_stale(&self) -> bool {
        let owner = fs::read_to_string(self.path().join(OWNER)).unwrap_or_default();
        let Some((pid, started)) = owner.split_once(' ') else { return true };
        let stat = pid.parse().ok().and_then(|pid| Stat::read(pid).ok().flatten());
        stat.is_none_or(|stat| stat.has_ended() || stat.start_ticks.to_string() != started)
    }

    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(self.path())
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path().display(), "a bundle is left");
        }
    }
}

/// Below a directory that does not survive a restart of the machine, as containers do not.
fn base(runtime: &ExternalRuntime) -> PathBuf {
    let above = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if !rustix::process::geteuid().is_root() => PathBuf::from(directory),
        _ => PathBuf::from("/run"),
    };
    above.join("harness-oci").join(runtime.program().file_name().unwrap_or_default())
}
