//! What ADD takes from elsewhere: files by HTTP, trees of git repositories.

use std::{cell::OnceCell, path::PathBuf};

use storage_layer::Digest;

use super::{Build, step::Step};
use crate::{
    Result, Span,
    cache_key::KeyMaker,
    context::Found,
    fetch::{Address, git, http},
};

/// A source of ADD that is not in the build context; it is fetched when something needs it, once.
pub struct Remote {
    pub address: Address,
    span: Span,
    /// What `--checksum` says of a file.
    checksum: Option<Digest>,
    /// What it says of a repository.
    wanted_commit: Option<String>,
    commit: OnceCell<String>,
    fetched: OnceCell<Fetched>,
    keep_git_dir: bool,
}

/// What was fetched; it goes with the value.
struct Fetched {
    found: Found,
    digest: Option<Digest>,
    _dir: tempfile::TempDir,
}

impl Remote {
    /// Reads the flags that are about it.
    pub fn new(step: Step<'_>, address: Address, span: Span, checksum: Option<&str>) -> Result<Self> {
        let keep_git_dir = step.instruction.flag("keep-git-dir").is_some_and(crate::dockerfile::Flag::is_on);
        let (mut digest, mut wanted_commit) = (None, None);
        match (&address, checksum) {
            (Address::File { .. }, Some(text)) => {
                digest = Some(text.parse().map_err(|_| {
                    let why = format!("--checksum of a file takes sha256: and 64 hexadecimal digits, not {text:?}");
                    step.wrong(step.place_of("checksum"), why)
                })?);
            }
            (Address::Git { .. }, Some(text)) if git::is_part_of_commit(text) => wanted_commit = Some(text.to_owned()),
            (Address::Git { .. }, Some(text)) => {
                let why = format!("--checksum of a git repository takes a commit's digits, at least 7, not {text:?}");
                return Err(step.wrong(step.place_of("checksum"), why));
            }
            (_, None) => {}
        }
        if keep_git_dir && matches!(address, Address::File { .. }) {
            return Err(step.wrong(step.place_of("keep-git-dir"), "--keep-git-dir is for git repositories only"));
        }
        let (commit, fetched) = (OnceCell::new(), OnceCell::new());
        Ok(Self { address, span, checksum: digest, wanted_commit, commit, fetched, keep_git_dir })
    }

    /// What it is by its content. Nothing is fetched for what names its content itself.
    pub fn add_to(&self, build: &Build<'_>, step: Step<'_>, key: &mut KeyMaker) -> Result<()> {
        match &self.address {
            Address::File { name, .. } => {
                key.add(name.as_bytes());
                let digest = match self.checksum {
                    Some(digest) => Some(digest),
                    None => self.fetch(build, step)?.digest,
                };
                key.add(digest.map(|digest| digest.to_string()).unwrap_or_default().as_bytes());
            }
            Address::Git { subdirectory, .. } => {
                let commit = match &self.wanted_commit {
                    Some(commit) if git::is_commit(commit) => commit,
                    Some(wanted) => self.wanted(self.commit(build, step)?, wanted, step)?,
                    None => self.commit(build, step)?,
                };
                key.add(commit.as_bytes());
                key.add(subdirectory.as_bytes());
                key.add(&[u8::from(self.keep_git_dir)]);
            }
        }
        Ok(())
    }

    /// The file or the tree.
    pub fn found(&self, build: &Build<'_>, step: Step<'_>) -> Result<&Found> {
        Ok(&self.fetch(build, step)?.found)
    }

    fn fails(&self, step: Step<'_>, why: impl std::fmt::Display) -> crate::Error {
        step.wrong(self.span, format!("cannot fetch {}: {why}", self.address))
    }

    fn wanted<'c>(&self, commit: &'c str, wanted: &str, step: Step<'_>) -> Result<&'c str> {
        if commit.starts_with(&wanted.to_ascii_lowercase()) {
            return Ok(commit);
        }
        Err(self.fails(step, format!("it is commit {commit}, not {wanted}")))
    }

    fn commit(&self, build: &Build<'_>, step: Step<'_>) -> Result<&str> {
        if let Some(known) = self.commit.get() {
            return Ok(known);
        }
        let Address::Git { url, reference, .. } = &self.address else { return Ok("") };
        let found = git_of(build).resolve(url, reference).map_err(|why| self.fails(step, why))?;
        Ok(self.commit.get_or_init(|| found))
    }

    fn fetch(&self, build: &Build<'_>, step: Step<'_>) -> Result<&Fetched> {
        if let Some(known) = self.fetched.get() {
            return Ok(known);
        }
        let dir = build.downloads()?;
        let root = dir.path();
        let (name, path, is_dir, digest) = match &self.address {
            Address::File { url, name } => {
                let path = root.join("file");
                let digest = http::download(url, &path, &build.request.cancel).map_err(|why| self.fails(step, why))?;
                if let Some(wanted) = self.checksum.filter(|wanted| *wanted != digest) {
                    return Err(self.fails(step, format!("it has the digest {digest}, not {wanted}")));
                }
                (PathBuf::from(name), path, false, Some(digest))
            }
            Address::Git { url, reference, subdirectory } => {
                let commit = self.commit(build, step)?;
                if let Some(wanted) = &self.wanted_commit {
                    self.wanted(commit, wanted, step)?;
                }
                let tree = git_of(build).check_out(root, url, reference, commit, self.keep_git_dir);
                let path = tree.and_then(|tree| git::below(&tree, subdirectory));
                (PathBuf::new(), path.map_err(|why| self.fails(step, why))?, true, None)
            }
        };
        build.stopped()?;
        let found = Found { kept: name.clone(), name, path, is_dir };
        Ok(self.fetched.get_or_init(|| Fetched { found, digest, _dir: dir }))
    }
}

fn git_of<'a>(build: &'a Build<'_>) -> git::Git<'a> {
    git::Git { cancel: &build.request.cancel, agent: build.request.ssh.get("default").map(PathBuf::as_path) }
}
