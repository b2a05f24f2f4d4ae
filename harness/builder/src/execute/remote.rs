//! What ADD takes from elsewhere: files by HTTP, trees of git repositories.

use std::{cell::OnceCell, path::PathBuf};

use storage_layer::Digest;

use super::{Build, step::Step};
use crate::{
    Result, Span,
    cache_key::KeyMaker,
    context::Found,
    fetch::{Address, Repository, git, http},
};

/// A source of ADD that is not in the build context; it is fetched when something needs it, once.
pub struct Remote {
    pub address: Address,
    span: Span,
    /// What `--checksum` says of a file.
    checksum: Option<Digest>,
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
    pub fn new(step: Step<'_>, mut address: Address, span: Span, checksum: Option<&str>) -> Result<Self> {
        let flag = step.instruction.flag("keep-git-dir").map(crate::dockerfile::Flag::is_on);
        let (mut digest, mut keep_git_dir) = (None, flag.unwrap_or(false));
        match (&mut address, checksum) {
            (Address::File { .. }, _) if keep_git_dir => {
                return Err(step.wrong(step.place_of("keep-git-dir"), "--keep-git-dir is for git repositories only"));
            }
            (Address::File { .. }, Some(text)) => {
                digest = Some(text.parse().map_err(|_| {
                    let why = format!("--checksum of a file takes sha256: and 64 hexadecimal digits, not {text:?}");
                    step.wrong(step.place_of("checksum"), why)
                })?);
            }
            (Address::File { .. }, None) => {}
            (Address::Git(repository), text) => {
                let expected = text.map_or(Ok(()), |text| repository.expect(text));
                expected.map_err(|why| step.wrong(step.place_of("checksum"), format!("--checksum: {why}")))?;
                if let Some(asked) = repository.keep_git_dir {
                    if flag.is_some_and(|flag| flag != asked) {
                        let why = "--keep-git-dir says something else than keep-git-dir of the address";
                        return Err(step.wrong(step.place_of("keep-git-dir"), why));
                    }
                    keep_git_dir = asked;
                }
            }
        }
        let (commit, fetched) = (OnceCell::new(), OnceCell::new());
        Ok(Self { address, span, checksum: digest, commit, fetched, keep_git_dir })
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
            Address::Git(repository) => {
                let commit = match &repository.commit {
                    Some(commit) if git::is_commit(commit) => commit,
                    _ => self.commit(build, step)?,
                };
                key.add(commit.as_bytes());
                key.add(repository.subdirectory.as_bytes());
                key.add(&[u8::from(self.keep_git_dir)]);
                // What is as usual adds nothing.
                if !repository.submodules {
                    key.add(b"without submodules");
                }
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

    fn commit(&self, build: &Build<'_>, step: Step<'_>) -> Result<&str> {
        if let Some(known) = self.commit.get() {
            return Ok(known);
        }
        let Address::Git(repository) = &self.address else { return Ok("") };
        let found = git_of(build, repository).and_then(|git| git.resolve(repository));
        let found = found.map_err(|why| self.fails(step, why))?;
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
                let request = build.request;
                let digest = http::download(url, &request.secrets, &path, &request.cancel);
                let digest = digest.map_err(|why| self.fails(step, why))?;
                if let Some(wanted) = self.checksum.filter(|wanted| *wanted != digest) {
                    return Err(self.fails(step, format!("it has the digest {digest}, not {wanted}")));
                }
                (PathBuf::from(name), path, false, Some(digest))
            }
            Address::Git(repository) => {
                let commit = self.commit(build, step)?;
                let git = git_of(build, repository);
                let tree = git.and_then(|git| git.check_out(root, repository, commit, self.keep_git_dir));
                let path = tree.and_then(|tree| git::below(&tree, &repository.subdirectory));
                (PathBuf::new(), path.map_err(|why| self.fails(step, why))?, true, None)
            }
        };
        build.stopped()?;
        let found = Found { kept: name.clone(), name, path, is_dir };
        Ok(self.fetched.get_or_init(|| Fetched { found, digest, _dir: dir }))
    }
}

fn git_of<'a>(build: &'a Build<'_>, repository: &Repository) -> Result<git::Git<'a>, String> {
    let request = build.request;
    git::Git::new(repository, &request.secrets, request.ssh.get("default").map(PathBuf::as_path), &request.cancel)
}
