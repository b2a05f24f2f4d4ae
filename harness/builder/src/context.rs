//! Files that COPY and ADD take, and where they put them; nothing outside the two roots is ever touched.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};

use crate::{Ignore, ignore::Pattern};

/// A directory that paths are resolved in as if it were `/`: symlinks that point up or to absolute paths stay inside
/// (openat2(2), `RESOLVE_IN_ROOT`).
#[derive(Debug)]
pub struct Jail {
    fd: OwnedFd,
    root: PathBuf,
}

impl Jail {
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let fd = openat(CWD, &root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open_inside(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    /// The real path, outside the jail's view, of what `path` leads to.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let found = self.open_inside(path)?;
        let real = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(io::Error::from(rustix::io::Errno::XDEV)) }
    }

    /// Like [`resolve`](Self::resolve), but what the last name is, itself, if that is a symlink.
    pub fn resolve_parent(&self, path: &Path) -> io::Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return self.resolve(path) };
        Ok(self.resolve(parent)?.join(name))
    }

    /// Makes a directory and those above it, owned by `owner`, and returns its real path.
    pub fn make_directories(&self, path: &Path, owner: Option<(u32, u32)>) -> io::Result<PathBuf> {
        let mut so_far = PathBuf::new();
        for name in path.components() {
            let Component::Normal(name) = name else { continue };
            let parent = self.open_inside(&so_far)?;
            so_far.push(name);
            match self.open_inside(&so_far) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let parent =
                        openat(&parent, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    let made = openat(
                        &parent,
                        name,
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    )?;
                    finish_directory(&made, owner)?;
                }
                Err(error) => return Err(error),
            }
        }
        let real = self.resolve(&so_far)?;
        if real.is_dir() { Ok(real) } else { Err(io::Error::from(rustix::io::Errno::NOTDIR)) }
    }
}

/// The umask of whoever builds has no part in an image.
fn finish_directory(dir: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::fchown(&dir, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// A source of COPY that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative to the root, as asked for or matched.
    pub name: PathBuf,
    /// Of the name, what `--parents` keeps: all of it, or what is after a `/./` in the pattern.
    pub kept: PathBuf,
    /// The real path of what is copied.
    pub path: PathBuf,
    pub is_dir: bool,
}

/// Whether a source may stand for several files, or none.
pub fn has_wildcards(source: &str) -> bool {
    let mut rest = source.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' | '[' => return true,
            // The next one stands for itself.
            '\\' => _ = rest.next(),
            _ => {}
        }
    }
    false
}

/// Whether a source is more than a name.
pub fn is_pattern(source: &str) -> bool {
    has_wildcards(source) || source.contains('\\')
}

/// Finds what a source pattern names below a jail, sorted; a plain name that is a symlink stands for its target.
/// With `deep`, `**` is any number of directories; what is found in them is what it is, links too.
pub fn find(jail: &Jail, pattern: &str, ignore: &Ignore, deep: bool) -> io::Result<Vec<Found>> {
    let pivot = pattern.find("/./").map_or(0, |at| clean(Path::new(&pattern[..at])).components().count());
    let clean = clean(Path::new(pattern));
    if deep && pattern.contains("**") {
        return find_deep(jail, &clean, pivot, ignore);
    }
    let mut names = Vec::new();
    if is_pattern(pattern) {
        let parts: Vec<Pattern> =
            clean.components().map(|part| name_pattern(part.as_os_str())).collect::<Result<_, _>>()?;
        glob(jail, PathBuf::new(), &parts, &mut names)?;
        names.sort();
    } else {
        names.push(clean);
    }
    let mut found = Vec::new();
    for name in names {
        if !name.as_os_str().is_empty() && ignore.excludes(&name) && !ignore.takes_something_back() {
            continue;
        }
        match jail.resolve(&name) {
            Ok(path) => {
                found.push(Found { is_dir: path.is_dir(), kept: name.components().skip(pivot).collect(), name, path });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A file of a context, which may be hostile: nothing but a regular one is read, and not more than `most` bytes.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a FIFO waits for a writer, and a device may do anything.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::File::from(openat(CWD, path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    read_most(file, most)
}

/// At most so many bytes.
pub fn read_most(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it has more than {most} bytes")));
    }
    Ok(content)
}

/// Relative, without `.` and `..`, which cannot lead above the root.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => _ = clean.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn name_pattern(part: &OsStr) -> io::Result<Pattern> {
    Pattern::of_name(&part.to_string_lossy()).map_err(malformed)
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Everything that a pattern with `**` matches; a directory that it matches is taken whole.
fn find_deep(jail: &Jail, clean: &Path, pivot: usize, ignore: &Ignore) -> io::Result<Vec<Found>> {
    let pattern = Pattern::of_path(&clean.to_string_lossy()).map_err(malformed)?;
    let is_plain = |part: &Component<'_>| !is_pattern(&part.as_os_str().to_string_lossy());
    let start: PathBuf = clean.components().take_while(is_plain).collect();
    let mut found = Vec::new();
    let mut pending = vec![start];
    while let Some(dir) = pending.pop() {
        let real = match jail.resolve(&dir) {
            Ok(real) if real.is_dir() => real,
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in fs::read_dir(real)? {
            let entry = entry?;
            let (name, path, is_dir) = (dir.join(entry.file_name()), entry.path(), entry.file_type()?.is_dir());
            if ignore.excludes(&name) && !(is_dir && ignore.takes_something_back()) {
                continue;
            }
            if pattern.matches(&name.to_string_lossy()) {
                found.push(Found { kept: name.components().skip(pivot).collect(), name, path, is_dir });
            } else if is_dir {
                pending.push(name);
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn glob(jail: &Jail, base: PathBuf, parts: &[Pattern], names: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        names.push(base);
        return Ok(());
    };
    let dir = match jail.resolve(&base) {
        Ok(dir) if dir.is_dir() => dir,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if part.matches(&name.to_string_lossy()) {
            glob(jail, base.join(name), rest, names)?;
        }
    }
    Ok(())
}

/// Calls `visit` for everything below a source that is not ignored, sorted, by its name below the source.
pub fn walk(found: &Found, ignore: &Ignore, visit: &mut dyn FnMut(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    if !found.is_dir {
        return visit(Path::new(found.name.file_name().unwrap_or_default()), &found.path);
    }
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let mut names: Vec<_> =
            fs::read_dir(found.path.join(&below))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let below = below.join(name);
            let path = found.path.join(&below);
            let is_dir = fs::symlink_metadata(&path)?.is_dir();
            if !ignore.excludes(&found.name.join(&below)) {
                visit(&below, &path)?;
            } else if !ignore.takes_something_back() {
                continue;
            }
            if is_dir {
                pending.push(below);
            }
        }
    }
    Ok(())
}

/// A name for messages.
pub fn shown(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/one.txt"), "1").unwrap();
        fs::write(root.join("a/two.md"), "2").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink("/a/one.txt", root.join("absolute")).unwrap();
        symlink("/", root.join("a/rootlink")).unwrap();
        dir
    }

    #[test]
    fn links_never_lead_out() {
        let dir = tree();
        let jail = Jail::open(&dir.path().join("root")).unwrap();
        let root = jail.root().to_owned();
        assert_eq!(jail.resolve(Path::new("absolute")).unwrap(), root.join("a/one.txt"));
        assert_eq!(jail.resolve(Path::new("up")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(jail.resolve(Path::new("a/rootlink/a/b")).unwrap(), root.join("a/b"));
        assert_eq!(jail.resolve(Path::new("../../../etc")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let made = jail.make_directories(Path::new("a/rootlink/new/deep"), None).unwrap();
        assert_eq!(made, root.join("new/deep"));
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = tree();
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [&fifo, Path::new("/dev/zero"), dir.path()] {
            assert!(read_regular(path, 10).is_err(), "{}", path.display());
        }
        assert_eq!(read_regular(&dir.path().join("secret"), 1).unwrap(), b"s");
        let error = read_most(io::repeat(b'x'), 10).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 10 bytes");
    }

    #[test]
    fn patterns_find_names_in_order() {
        let dir = tree();
        let root = dir.path().join("root");
        let jail = Jail::open(&root).unwrap();
        let names = |pattern: &str, ignore: &str| -> Vec<String> {
            let ignore = Ignore::parse("f", ignore.as_bytes()).unwrap();
            let found = find(&jail, pattern, &ignore, pattern.contains("**")).unwrap();
            found.into_iter().map(|found| found.name.display().to_string()).collect()
        };
        assert_eq!(names("a/*", ""), ["a/b", "a/one.txt", "a/rootlink", "a/two.md"]);
        assert_eq!(names("a/*.t?t", ""), ["a/one.txt"]);
        assert_eq!(names("/a/../a/one.txt", ""), ["a/one.txt"]);
        assert_eq!(names("none", ""), Vec::<String>::new());
        assert_eq!(names("a/*", "**/*.md"), ["a/b", "a/one.txt", "a/rootlink"]);
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/b/c/three.txt"), "3").unwrap();
        assert_eq!(names("a/**/*.txt", ""), ["a/b/c/three.txt", "a/one.txt"]);
        assert_eq!(names("**/*.txt", "a/b"), ["a/one.txt"]);
        assert_eq!(names("**/*.txt", "a/b\n!a/b/c/*"), ["a/b/c/three.txt", "a/one.txt"]);
        assert_eq!(names("a/**", ""), ["a/b", "a/one.txt", "a/rootlink", "a/two.md"]);
        assert_eq!(names("**/b/**", ""), ["a/b/c"]);
        assert_eq!(names("a/**/rootlink/**", ""), Vec::<String>::new());
    }
}
