//! Where the harness keeps what it keeps.

use std::path::{Path, PathBuf};

/// The data directory of one user: images once, layers per driver, containers, testbeds.
#[derive(Debug, Clone)]
pub struct Place(PathBuf);

impl Place {
    /// `--root`, or /var/lib/harness as root, or `$XDG_DATA_HOME/harness` (XDG base directory specification).
    pub fn choose(asked: Option<&Path>) -> Self {
        if let Some(root) = asked {
            return Self(std::path::absolute(root).unwrap_or_else(|_| root.to_owned()));
        }
        if rustix::process::geteuid().is_root() && !storage_sys::userns::is_active() {
            return Self("/var/lib/harness".into());
        }
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".local/share");
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        Self(data.unwrap_or_else(home).join("harness"))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The image store: an OCI layout, references, the build cache.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// A driver's root.
    pub fn driver(&self, name: &str) -> PathBuf {
        self.0.join("drivers").join(name)
    }

    /// One directory a container.
    pub fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    /// The bridge that containers are on.
    pub fn networks(&self) -> PathBuf {
        self.0.join("network")
    }

    /// Volumes of containers.
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// Images of loop devices and their mount points while a measurement runs.
    pub fn testbeds(&self) -> PathBuf {
        self.0.join("testbeds")
    }
}
