//! Another revision of this project, built beside this one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{failure::Result, say};

/// Its program; the checkout goes away with it, what cargo built stays for the next time.
#[derive(Debug)]
pub struct Revision {
    repository: PathBuf,
    checkout: tempfile::TempDir,
    program: PathBuf,
}

impl Revision {
    /// The harness of that revision.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

impl Drop for Revision {
    fn drop(&mut self) {
        let checkout = self.checkout.path().join("tree");
        let removed = git(&self.repository, &["worktree", "remove", "--force"]).arg(&checkout).status();
        if !removed.is_ok_and(|status| status.success()) {
            say(&format!("cannot remove the checkout {}; `git worktree prune` forgets it", checkout.display()));
        }
    }
}

/// Checks it out beside the repository that the current directory is in, and builds it.
pub fn build(revision: &str) -> Result<Revision> {
    Ok(checked_out(revision)?)
}

fn checked_out(revision: &str) -> anyhow::Result<Revision> {
    let here = std::env::current_dir().context("cannot find the current directory")?;
    let root = text(&mut git(&here, &["rev-parse", "--show-toplevel"]))
        .context("--rebase builds another revision, so it must be called inside a clone of the project")?;
    let repository = PathBuf::from(root);
    let commit = text(git(&repository, &["rev-parse", "--verify", "--quiet"]).arg(format!("{revision}^{{commit}}")))
        .with_context(|| format!("the repository {} has no revision {revision:?}", repository.display()))?;
    let checkout = tempfile::Builder::new().prefix("harness-rebase-").tempdir().context("cannot make a directory")?;
    let tree = checkout.path().join("tree");
    say(&format!("building {commit}"));
    text(git(&repository, &["worktree", "add", "--detach", "--quiet"]).arg(&tree).arg(&commit))?;
    let target = repository.join("target/rebase");
    let revision = Revision { repository, checkout, program: target.join("release/harness") };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "harness", "--target-dir"])
        .arg(&target)
        .current_dir(&tree)
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo cannot build {commit}: {status}");
    }
    Ok(revision)
}

fn git(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args).stdin(Stdio::null());
    command
}

/// What a command says; it fails with what it says on standard error.
fn text(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("cannot start git")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
