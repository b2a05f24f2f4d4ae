//! buildah(1) with storage of its own, which goes with the value.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub struct Buildah {
    dir: tempfile::TempDir,
}

impl Buildah {
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("buildah-").tempdir().unwrap() }
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let output = Command::new("buildah")
            .args(["--storage-driver", "vfs", "--root", &path("root"), "--runroot", &path("run")])
            .args(args)
            .env("TMPDIR", self.dir.path())
            .output();
        let output = output.unwrap_or_else(|error| panic!("buildah: {error}; install buildah"));
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned());
        }
        Err(format!("buildah {args:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Takes an image out of a store, which is an OCI image layout.
    pub fn load(&self, store: &Path, name: &str) {
        let (root, run) = (self.dir.path().join("root"), self.dir.path().join("run"));
        let to = format!("containers-storage:[vfs@{}+{}]localhost/{name}", root.display(), run.display());
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--insecure-policy", &format!("oci:{}:{name}", store.display()), &to]);
        let output = skopeo.output().unwrap_or_else(|error| panic!("skopeo: {error}; install skopeo"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Builds and returns the files of the image.
    pub fn build(&self, context: &Path, dockerfile: &Path) -> PathBuf {
        let (context, dockerfile) = (context.display().to_string(), dockerfile.display().to_string());
        // docker's own format, since OCI's has no ONBUILD, SHELL and HEALTHCHECK.
        let common =
            ["build", "--quiet", "--isolation", "chroot", "--format", "docker", "--pull-never", "--layers=false"];
        self.run(&[&common[..], &["-t", "built", "-f", &dockerfile, &context]].concat()).unwrap();
        // Triggers run at once and may say something; the container's name comes last.
        let said = self.run(&["from", "--isolation", "chroot", "--pull-never", "localhost/built"]).unwrap();
        self.run(&["mount", said.lines().last().unwrap()]).unwrap().into()
    }

    /// The configuration of what was built.
    pub fn config(&self) -> serde_json::Value {
        let text = self.run(&["inspect", "--type", "image", "localhost/built"]).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["Docker"]["config"].take()
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        let _ = self.run(&["umount", "--all"]);
    }
}
