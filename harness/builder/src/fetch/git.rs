//! Trees of git repositories, by the git program.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use storage_layer::Limits;
use storage_sys::statfs;

use super::{Repository, Secrets, credentials};
use crate::context::{Jail, clean};

/// Of what git says this much is read.
const MOST_SAID: u64 = 1 << 20;

const PATIENCE: Duration = Duration::from_millis(20);

/// What git leaves of a disk to others.
const LEFT: u64 = 64 << 20;

/// The git program with what it may do.
pub struct Git<'a> {
    /// Set to stop it.
    cancel: &'a AtomicBool,
    /// The socket of the agent whose keys ssh may use.
    agent: Option<&'a Path>,
    /// A site of the web, and what it is told of who asks.
    authorization: Option<(String, String)>,
}

impl<'a> Git<'a> {
    /// For a repository, where who asks may be told by secrets.
    ///
    /// # Errors
    /// A secret that cannot be told.
    pub fn new(
        repository: &Repository,
        secrets: &Secrets,
        agent: Option<&'a Path>,
        cancel: &'a AtomicBool,
    ) -> Result<Self, String> {
        let header = credentials::of_git(secrets, &repository.url)?;
        let authorization = credentials::site(&repository.url).zip(header);
        Ok(Self { cancel, agent, authorization })
    }
}

impl Git<'_> {
    /// The commit that a branch, a tag, another reference or a commit's own name means; HEAD for an empty one. Branches
    /// come first, as for git-checkout(1).
    pub fn resolve(&self, repository: &Repository) -> Result<String, String> {
        let Repository { url, reference, .. } = repository;
        if is_commit(reference) {
            return repository.checked(reference).map(str::to_owned);
        }
        if reference.starts_with('-') || reference.contains(['*', '?', '[']) {
            return Err(format!("{reference:?} is no branch, tag or commit"));
        }
        let name = if reference.is_empty() { "HEAD" } else { reference.as_str() };
        let peeled = format!("{name}^{{}}");
        let said = self.run(Path::new("/"), &["ls-remote", "--", url, name, &peeled])?;
        let known: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once('\t')).collect();
        let mut candidates = vec![peeled, name.to_owned()];
        if !name.starts_with("refs/") && name != "HEAD" {
            let places = ["refs/heads", "refs/tags", "refs"];
            let short = places.iter().flat_map(|place| [format!("{place}/{name}^{{}}"), format!("{place}/{name}")]);
            candidates.splice(0..0, short);
        }
        let found = candidates.iter().find_map(|wanted| known.iter().find(|(_, name)| name == wanted));
        match found {
            Some((commit, _)) if is_commit(commit) => repository.checked(commit).map(str::to_owned),
            _ => Err(format!("it has no branch or tag {name}")),
        }
    }

    /// Makes a tree of a commit below `root`. All of it has the commit's time, so that the layer is the same whenever it
    /// is made.
    pub fn check_out(
        &self,
        root: &Path,
        repository: &Repository,
        commit: &str,
        keep_git_dir: bool,
    ) -> Result<PathBuf, String> {
        let tree = root.join("tree");
        let empty = root.join("template");
        fs::create_dir(&tree).and_then(|()| fs::create_dir(&empty)).map_err(|error| error.to_string())?;
        // Without the hooks and descriptions of this machine.
        self.run(&tree, &["init", "--quiet", &format!("--template={}", empty.display())])?;
        self.run(&tree, &["remote", "add", "--", "origin", &repository.url])?;
        self.fetch(&tree, &repository.reference, commit)?;
        self.bound(&tree, commit)?;
        self.run(&tree, &["checkout", "--quiet", "--detach", commit, "--"])?;
        if repository.submodules {
            self.run(&tree, &["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
        }
        let time = self.run(&tree, &["show", "--no-patch", "--format=%ct", commit, "--"])?;
        if !keep_git_dir {
            remove_git_dirs(&tree).map_err(|error| format!("cannot remove .git: {error}"))?;
        }
        let time = time.trim().parse().unwrap_or(0);
        set_times(&tree, time).map_err(|error| format!("cannot set its times: {error}"))?;
        Ok(tree)
    }

    /// The one commit, where the server hands single commits out; else what the reference leads to; else everything.
    fn fetch(&self, tree: &Path, reference: &str, commit: &str) -> Result<(), String> {
        let fetch = ["fetch", "--quiet", "--no-tags"];
        if self.run(tree, &[&fetch[..], &["--depth=1", "origin", commit]].concat()).is_ok() {
            return Ok(());
        }
        let by_name = if reference.is_empty() { "HEAD" } else { reference };
        let named = !is_commit(reference) && !reference.starts_with('-');
        if named
            && self.run(tree, &[&fetch[..], &["--depth=1", "origin", by_name]].concat()).is_ok()
            && self.has(tree, commit)
        {
            return Ok(());
        }
        self.run(tree, &["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])?;
        if self.has(tree, commit) { Ok(()) } else { Err(format!("it has no commit {commit}")) }
    }

    fn has(&self, tree: &Path, commit: &str) -> bool {
        self.run(tree, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_ok()
    }

    /// Refuses a tree of very many files before it is written: few objects make a huge one where directories are the same
    /// (a "git bomb"), and git holds the list of all files in memory.
    fn bound(&self, tree: &Path, commit: &str) -> Result<(), String> {
        let most = Limits::default().entries;
        let list = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit];
        let (status, counted, errors) = self.start(tree, &list, move |output| count(output, most))?;
        counted?;
        said(&list, status, &errors)
    }

    /// Runs git, and returns what it says.
    fn run(&self, dir: &Path, args: &[&str]) -> Result<String, String> {
        let (status, output, errors) = self.start(dir, args, text)?;
        said(args, status, &errors).map(|()| output)
    }

    /// Runs git with a umask of its own, without this user's configuration, without questions, and over the network
    /// only: a repository's submodules cannot lead to this machine's files or programs. It ends where nearly all of the
    /// disk is taken.
    fn start<T: Send + 'static>(
        &self,
        dir: &Path,
        args: &[&str],
        read: impl FnOnce(ChildStdout) -> T + Send + 'static,
    ) -> Result<(ExitStatus, T, String), String> {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "umask 022; exec git -c core.hooksPath=/dev/null -c advice.detachedHead=false \"$@\"",
            "git",
        ]);
        command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_PARAMETERS"] {
            command.env_remove(name);
        }
        // Where no list of processes shows it (git-config(1), "GIT_CONFIG_COUNT").
        command.env("GIT_CONFIG_COUNT", if self.authorization.is_some() { "1" } else { "0" });
        if let Some((site, header)) = &self.authorization {
            command.env("GIT_CONFIG_KEY_0", format!("http.{site}.extraHeader"));
            command.env("GIT_CONFIG_VALUE_0", format!("Authorization: {header}"));
        }
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "git:http:https:ssh")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            .env("LC_ALL", "C");
        match self.agent {
            Some(agent) => command.env("SSH_AUTH_SOCK", agent),
            // That of this user is not a Dockerfile's to use.
            None => command.env_remove("SSH_AUTH_SOCK"),
        };
        let mut child = command.spawn().map_err(|error| format!("cannot run git: {error}; install git"))?;
        let output = child.stdout.take().map(|output| thread::spawn(move || read(output)));
        let errors = child.stderr.take().map(|output| thread::spawn(move || text(output)));
        let mut is_full = false;
        let status = loop {
            is_full = is_full || room(dir)? == 0;
            if is_full || self.cancel.load(Ordering::Relaxed) {
                let _ = child.kill();
            }
            match child.try_wait().map_err(|error| format!("cannot wait for git: {error}"))? {
                Some(status) => break status,
                None => thread::sleep(PATIENCE),
            }
        };
        let errors = errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
        let output = output.and_then(|output| output.join().ok()).ok_or("what git says cannot be read")?;
        if is_full {
            Err(format!("there is no room for it in {}", dir.display()))
        } else {
            Ok((status, output, errors))
        }
    }
}

/// Bytes that may be written below a directory, such that others have a little left.
fn room(dir: &Path) -> Result<u64, String> {
    let room = statfs::room(dir).map_err(|error| error.to_string())?;
    Ok(room.available.saturating_sub(LEFT))
}

/// Counts names, each with a NUL after it.
fn count(output: impl Read, most: u64) -> Result<(), String> {
    let mut output = BufReader::new(output);
    let mut found: u64 = 0;
    loop {
        let piece = output.fill_buf().map_err(|error| error.to_string())?;
        if piece.is_empty() {
            return Ok(());
        }
        found += piece.iter().filter(|byte| **byte == 0).count() as u64;
        if found > most {
            return Err(format!("it has more than {most} files"));
        }
        let read = piece.len();
        output.consume(read);
    }
}

fn said(args: &[&str], status: ExitStatus, errors: &str) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(format!("git {}: {}", args.first().unwrap_or(&""), last.trim()))
}

fn text(mut output: impl Read) -> String {
    let mut said = Vec::new();
    let _ = output.by_ref().take(MOST_SAID).read_to_end(&mut said);
    // The rest is let go, so that git does not wait for a reader.
    let _ = std::io::copy(&mut output, &mut std::io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

/// The beginning of a commit's name, or all of it.
pub fn is_part_of_commit(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// SHA-1, or SHA-256 in repositories of that kind.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A directory of the tree, which no link leads out of.
pub fn below(tree: &Path, subdirectory: &str) -> Result<PathBuf, String> {
    let found = Jail::open(tree).and_then(|jail| jail.resolve(&clean(Path::new(subdirectory))));
    match found {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(format!("{subdirectory} is no directory of it")),
        Err(error) => Err(format!("{subdirectory}: {error}")),
    }
}

/// Those of submodules are files.
fn remove_git_dirs(tree: &Path) -> std::io::Result<()> {
    each(tree, &mut |path, is_dir| {
        if path.file_name().is_none_or(|name| name.as_bytes() != b".git") {
            return Ok(true);
        }
        if is_dir {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
        Ok(false)
    })
}

fn set_times(tree: &Path, seconds: i64) -> std::io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    let set = |path: &Path| utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    set(tree)?;
    each(tree, &mut |path, _| Ok(set(path).map(|()| true)?))
}

/// Calls `visit` for everything below a directory; it says whether a directory is looked into.
fn each(dir: &Path, visit: &mut dyn FnMut(&Path, bool) -> std::io::Result<bool>) -> std::io::Result<()> {
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            if visit(&entry.path(), is_dir)? && is_dir {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted() {
        assert_eq!(count(&b"a\0b c\0d/e\0"[..], 3), Ok(()));
        assert_eq!(count(&b"a\0b c\0d/e\0"[..], 2).unwrap_err(), "it has more than 2 files");
    }
}
