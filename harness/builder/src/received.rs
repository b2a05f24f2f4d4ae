//! Build contexts that are no directory of this machine: streams, archives and Dockerfiles of the web, repositories.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use harness_image::open_archive;
use storage_driver::Bytes;
use storage_layer::{ApplyOptions, Devices, Limits, Owners, Whiteouts};
use storage_sys::statfs;

use crate::{
    Error, Result, Secret, archive,
    context::{Jail, clean},
    fetch::{Address, Downloads, git, http, without_user},
};

/// Longer texts are no Dockerfiles.
const MOST_TEXT: u64 = 16 << 20;

/// A build context that came from elsewhere; it goes with the value.
#[derive(Debug)]
pub struct ReceivedContext {
    path: PathBuf,
    dockerfile: Option<Vec<u8>>,
    _dir: tempfile::TempDir,
    _downloads: Downloads,
}

/// How contexts are fetched.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The socket of the agent whose keys are for `ssh://`.
    pub agent: Option<&'a Path>,
    /// Set from another thread to stop.
    pub cancel: &'a AtomicBool,
    /// Whether `.git` of a repository is a part of the context.
    pub keep_git_dir: bool,
    /// Those of the build, by which servers may be told who asks.
    pub secrets: &'a BTreeMap<String, Secret>,
}

impl ReceivedContext {
    /// Takes what comes: an archive, plain or compressed as for ADD, is the context; anything else is a Dockerfile that
    /// needs none. It is kept on the disk of the image store at `store`.
    ///
    /// # Errors
    /// What cannot be read or unpacked; an archive is as untrusted as a layer.
    pub fn from_stream(store: &Path, input: &mut (dyn Read + Send)) -> Result<Self> {
        let (downloads, dir) = place(store)?;
        let kept = dir.path().join("stream");
        let most = room(dir.path())?;
        let mut file = File::create(&kept).map_err(Error::io("create", &kept))?;
        let came = io::copy(&mut input.take(most + 1), &mut file).map_err(Error::io("keep what came in", &kept))?;
        if came > most {
            let why = format!("it does not end, or is longer than the {} that there is room for", Bytes(most));
            return Err(Error::io("build from", "-")(io::Error::other(why)));
        }
        Self::from_file(downloads, dir, &kept, "-")
    }

    /// Fetches what is at an address of [`is_address`]: a repository's tree, or a file, which is taken as one that came
    /// as a stream.
    ///
    /// # Errors
    /// [`Error::Context`], and what cannot be unpacked.
    pub fn from_address(store: &Path, address: &str, access: &Access<'_>) -> Result<Self> {
        let (downloads, dir) = place(store)?;
        let wrong = |why| Error::Context { address: without_user(address), why };
        let address = Address::of_context(address).map_err(wrong)?;
        let address = address.ok_or_else(|| wrong("it is no address".to_owned()))?;
        let fails = |why| Error::Context { address: address.to_string(), why };
        match &address {
            Address::File { url, .. } => {
                let kept = dir.path().join("file");
                http::download(url, access.secrets, &kept, access.cancel).map_err(fails)?;
                Self::from_file(downloads, dir, &kept, &address.to_string())
            }
            Address::Git(repository) => {
                let git = git::Git::new(repository, access.secrets, access.agent, access.cancel).map_err(fails)?;
                let keep_git_dir = access.keep_git_dir || repository.keep_git_dir == Some(true);
                let tree = git.resolve(repository).and_then(|commit| {
                    let tree = git.check_out(dir.path(), repository, &commit, keep_git_dir)?;
                    git::below(&tree, &repository.subdirectory)
                });
                Ok(Self { path: tree.map_err(fails)?, dockerfile: None, _dir: dir, _downloads: downloads })
            }
        }
    }

    fn from_file(downloads: Downloads, dir: tempfile::TempDir, kept: &Path, shown: &str) -> Result<Self> {
        let path = dir.path().join("context");
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        let dockerfile = if archive::is_tar(kept).map_err(Error::io("read", kept))? {
            unpack(kept, &path)?;
            None
        } else if fs::metadata(kept).map_err(Error::io("read", kept))?.len() > MOST_TEXT {
            let why = io::Error::other("it is neither an archive nor a Dockerfile, which has at most 16 MiB");
            return Err(Error::io("build from", shown)(why));
        } else {
            Some(fs::read(kept).map_err(Error::io("read", kept))?)
        };
        fs::remove_file(kept).map_err(Error::io("remove", kept))?;
        Ok(Self { path, dockerfile, _dir: dir, _downloads: downloads })
    }

    /// The context, a directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What came, where that is a Dockerfile and the context is empty.
    #[must_use]
    pub fn dockerfile(&self) -> Option<&[u8]> {
        self.dockerfile.as_deref()
    }

    /// A regular file of the context, which no link leads out of.
    #[must_use]
    pub fn file(&self, name: &Path) -> Option<PathBuf> {
        let found = Jail::open(&self.path).and_then(|jail| jail.resolve(&clean(name))).ok()?;
        found.is_file().then_some(found)
    }
}

/// Whether a context is fetched from elsewhere: `git://`, `ssh://`, `user@host:path`, `http://`, `https://`, and
/// `github.com/` as docker has it; also one that asks for what cannot be had.
#[must_use]
pub fn is_address(text: &str) -> bool {
    !matches!(Address::of_context(text), Ok(None))
}

fn place(store: &Path) -> Result<(Downloads, tempfile::TempDir)> {
    let downloads = Downloads::open(store)?;
    let dir = downloads.make()?;
    Ok((downloads, dir))
}

fn unpack(tar: &Path, context: &Path) -> Result<()> {
    let file = File::open(tar).map_err(Error::io("open", tar))?;
    let mut file = open_archive(file).map_err(Error::io("read", tar))?;
    let limits = Limits { size: Bytes(room(context)?), ..Limits::default() };
    let options = ApplyOptions {
        owners: Owners::Squash,
        devices: Devices::Skip,
        whiteouts: Whiteouts::Literal,
        limits,
        ..ApplyOptions::default()
    };
    storage_layer::apply(context, &mut file, &options)?;
    Ok(())
}

/// Bytes that may be written to a directory, such that others have a little left.
fn room(dir: &Path) -> Result<u64> {
    let available = statfs::room(dir).map_err(Error::io("examine", dir))?.available;
    Ok(available - available / 16)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn archives_and_texts_are_told_apart() {
        let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        symlink("/etc/hostname", dir.path().join("link")).unwrap();
        let tar = Command::new("tar").args(["-cz", "-C"]).arg(dir.path()).arg(".").output().unwrap().stdout;
        let came = |mut input: &[u8]| ReceivedContext::from_stream(store.path(), &mut input);
        let context = came(&tar).unwrap();
        assert_eq!(context.dockerfile(), None);
        let file = context.file(Path::new("Dockerfile")).unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "FROM scratch\n");
        assert_eq!(context.file(Path::new("link")), None);
        assert_eq!(context.file(Path::new("../../../../etc/hostname")), None);
        let text = came(b"FROM scratch\n").unwrap();
        assert_eq!(text.dockerfile(), Some(&b"FROM scratch\n"[..]));
        assert!(ReceivedContext::from_stream(store.path(), &mut io::repeat(b'x').take(MOST_TEXT + 1)).is_err());
        drop((context, text));
        assert_eq!(fs::read_dir(store.path().join("downloads")).unwrap().count(), 0);
    }
}
