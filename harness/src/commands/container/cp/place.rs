//! Files in a container and here: found and made by descriptors, so that neither links of a hostile image nor a container
//! that changes its files meanwhile lead out of the container's root.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat, statat},
    io::Errno,
};

/// As many links as the kernel follows.
const LINKS: usize = 40;

/// How often a path is looked up again that was renamed meanwhile.
const ATTEMPTS: usize = 100;

/// What paths start from.
#[derive(Debug)]
pub enum Base {
    /// This system.
    Here,
    /// A directory that is `/` for all links: those that point up or to absolute paths stay inside.
    Inside(OwnedFd),
}

/// What a path leads to.
#[derive(Debug)]
pub enum Located {
    Directory(OwnedFd),
    /// Anything else, by its name in a directory.
    Entry(OwnedFd, OsString),
    /// Nothing; the directory where it would be is there.
    Missing(OwnedFd, OsString),
}

impl Located {
    /// The directory, and the name in it.
    pub fn into_parts(self) -> (OwnedFd, Option<OsString>) {
        match self {
            Self::Directory(fd) => (fd, None),
            Self::Entry(fd, name) | Self::Missing(fd, name) => (fd, Some(name)),
        }
    }
}

impl Base {
    /// A directory of this system, from where nothing leads out.
    pub fn inside(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::Inside(openat(CWD, root, flags, Mode::empty())?))
    }

    fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let Self::Inside(root) = self else { return Ok(openat(CWD, path, flags, Mode::empty())?) };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS {
            match openat2(root, path, flags, Mode::empty(), resolve) {
                // Something was renamed on the way, and `..` may have led out.
                Err(Errno::AGAIN) => {}
                answer => return Ok(answer?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Looks for a path; a link in its last place is followed if that is asked for.
    pub fn locate(&self, path: &Path, follow: bool) -> io::Result<Located> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Ok(Located::Directory(self.open_directory(&path)?));
            };
            let parent_fd = self.open_directory(parent)?;
            let kind = match statat(&parent_fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => return Ok(Located::Missing(parent_fd, name.to_owned())),
                Err(error) => return Err(error.into()),
            };
            match kind {
                FileType::Directory => return Ok(Located::Directory(open_beneath(&parent_fd, name)?)),
                FileType::Symlink if follow => {
                    use std::os::unix::ffi::OsStringExt;
                    let target = readlinkat(&parent_fd, name, Vec::new())?.into_bytes();
                    path = parent.join(OsString::from_vec(target));
                }
                _ => return Ok(Located::Entry(parent_fd, name.to_owned())),
            }
        }
        Err(Errno::LOOP.into())
    }
}

fn open_beneath(dir: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

/// The directory of this name, made if there is none.
pub fn directory_in(dir: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match mkdirat(dir, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) | Ok(()) => open_beneath(dir, name),
        Err(error) => Err(error.into()),
    }
}

/// A path that leads to what a descriptor is of, whatever has happened to its name, for calls that take paths.
pub fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A path as it is written: where it leads to, and what its end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Absolute, without `.` and `..`.
    pub path: PathBuf,
    /// It ends in `/` or `/.`, which a directory only has.
    pub is_directory: bool,
    /// It ends in `/.`: what is in the directory, not the directory itself.
    pub is_contents: bool,
}

impl Written {
    /// Relative paths are below `start`.
    pub fn read(text: &str, start: &Path) -> Self {
        let is_contents = text == "." || text.ends_with("/.");
        let path = clean(&start.join(text));
        // A root has no name of its own.
        let is_contents = is_contents || path == Path::new("/");
        Self { is_directory: is_contents || text.ends_with('/') || text.ends_with(".."), is_contents, path }
    }

    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// As docker does: by the text alone, so that `x/..` is nothing whatever `x` is.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => _ = clean.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn the_end_of_a_path_says_what_is_meant() {
        let read = |text| {
            let Written { path, is_directory, is_contents } = Written::read(text, Path::new("/w"));
            (path.to_str().unwrap().to_owned(), is_directory, is_contents)
        };
        assert_eq!(read("a"), ("/w/a".into(), false, false));
        assert_eq!(read("a/"), ("/w/a".into(), true, false));
        assert_eq!(read("a/."), ("/w/a".into(), true, true));
        assert_eq!(read("."), ("/w".into(), true, true));
        assert_eq!(read("/x/../y"), ("/y".into(), false, false));
        assert_eq!(read("../../.."), ("/".into(), true, true));
    }

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(dir.path().join("secret"), "").unwrap();
        fs::write(root.join("secret"), "").unwrap();
        symlink("../../../secret", root.join("sub/up")).unwrap();
        symlink("/../secret", root.join("sub/absolute")).unwrap();
        symlink("/", root.join("sub/all")).unwrap();
        symlink("self", root.join("self")).unwrap();
        symlink("../nothing", root.join("dangling")).unwrap();
        let base = Base::inside(&root).unwrap();
        let real = |located| match located {
            Located::Directory(fd) => fs::read_link(by_descriptor(&fd)).unwrap(),
            Located::Entry(fd, name) | Located::Missing(fd, name) => {
                fs::read_link(by_descriptor(&fd)).unwrap().join(name)
            }
        };
        let root = fs::canonicalize(&root).unwrap();
        for (path, leads_to) in [
            ("/sub/up", "secret"),
            ("/sub/absolute", "secret"),
            ("/sub/all/secret", "secret"),
            ("/sub/all/../../secret", "secret"),
            ("/dangling", "nothing"),
        ] {
            assert_eq!(real(base.locate(Path::new(path), true).unwrap()), root.join(leads_to), "{path}");
        }
        assert_eq!(real(base.locate(Path::new("/sub/up"), false).unwrap()), root.join("sub/up"));
        assert_eq!(real(base.locate(Path::new("/sub/all"), true).unwrap()), root);
        assert!(base.locate(Path::new("/self"), true).is_err());
    }
}
