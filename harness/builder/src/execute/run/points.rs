//! Places that are mounted on for a command. Where the image has none they are made, and taken away again, so that a
//! layer is the same whatever runtime made it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use crate::{
    Error, Result,
    context::{Jail, clean},
};

/// What is mounted: where, and whether it is a directory.
pub type Target<'a> = (&'a Path, bool);

/// Mount points that were made, parents first, and the times of the directories that they were made in.
#[derive(Default)]
pub struct MountPoints {
    made: Vec<PathBuf>,
    parents: BTreeMap<PathBuf, Times>,
}

/// A directory's modification times.
struct Times {
    before: Timespec,
    /// Once the mount points were made in it.
    after: Timespec,
}

impl MountPoints {
    /// Makes what is missing below `root`. Targets below other targets are in file systems of their own.
    pub fn make(root: &Path, targets: &[Target<'_>]) -> Result<Self> {
        let jail = Jail::open(root).map_err(Error::io("open", root))?;
        let mut points = Self::default();
        for (target, is_dir) in targets {
            let covered = |(other, _): &Target<'_>| other != target && target.starts_with(other);
            if !targets.iter().any(covered) {
                points.add(&jail, &clean(target), *is_dir)?;
            }
        }
        for (path, times) in &mut points.parents {
            times.after = modified(path)?;
        }
        Ok(points)
    }

    fn add(&mut self, jail: &Jail, target: &Path, is_dir: bool) -> Result<()> {
        let mut there = jail.root().to_owned();
        for (at, name) in target.components().enumerate() {
            let path = there.join(name);
            match fs::symlink_metadata(&path) {
                // A link in the way leads wherever the image says; that is the runtime's to follow or to refuse.
                Ok(found) if found.is_symlink() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !self.made.contains(&there) && !self.parents.contains_key(&there) {
                        let before = modified(&there)?;
                        self.parents.insert(there.clone(), Times { before, after: before });
                    }
                    let is_last = at + 1 == target.components().count();
                    let made = if is_last && !is_dir { File::create(&path).map(drop) } else { fs::create_dir(&path) };
                    made.map_err(Error::io("create", &path))?;
                    self.made.push(path.clone());
                }
                Err(error) => return Err(Error::io("examine", path)(error)),
            }
            there = path;
        }
        Ok(())
    }

    /// Takes away what is still empty; what the command put there stays. A directory that the command did not change
    /// gets its old time back.
    pub fn clear(self) -> Result<()> {
        let mut changed = BTreeMap::new();
        for path in self.parents.keys() {
            changed.extend(modified(path).ok().map(|now| (path.clone(), now)));
        }
        for path in self.made.iter().rev() {
            match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => match fs::remove_dir(path) {
                    Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty) => {
                        return Err(Error::io("remove", path)(error));
                    }
                    _ => {}
                },
                Ok(found) if found.is_file() && found.len() == 0 => {
                    fs::remove_file(path).map_err(Error::io("remove", path))?;
                }
                _ => {}
            }
        }
        for (path, now) in changed {
            let Some(times) = self.parents.get(&path) else { continue };
            let stays = |made: &&PathBuf| made.parent() == Some(&path) && made.exists();
            let untouched = (now.tv_sec, now.tv_nsec) == (times.after.tv_sec, times.after.tv_nsec);
            let time = if untouched && !self.made.iter().any(|made| stays(&made)) { times.before } else { now };
            let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            let times = Timestamps { last_access: omit, last_modification: time };
            utimensat(CWD, &path, &times, AtFlags::empty()).map_err(Error::io("set the time of", &path))?;
        }
        Ok(())
    }
}

fn modified(path: &Path) -> Result<Timespec> {
    let found = rustix::fs::stat(path).map_err(Error::io("examine", path))?;
    Ok(Timespec { tv_sec: found.st_mtime, tv_nsec: i64::try_from(found.st_mtime_nsec).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_and_no_time_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("run")).unwrap();
        let old = (modified(root).unwrap(), modified(&root.join("run")).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let targets = [("/proc", true), ("/a/b/c", true), ("/run/secrets/x", false), ("/proc/below", true)];
        let targets = targets.map(|(path, is_dir)| (Path::new(path), is_dir));
        let points = MountPoints::make(root, &targets).unwrap();
        assert!(root.join("a/b/c").is_dir() && root.join("run/secrets/x").is_file());
        points.clear().unwrap();
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
        assert_eq!((modified(root).unwrap(), modified(&root.join("run")).unwrap()), old);
    }

    #[test]
    fn what_the_command_made_stays_with_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let points = MountPoints::make(dir.path(), &[(Path::new("/a/b"), true)]).unwrap();
        fs::write(dir.path().join("a/mine"), "x").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(dir.path().join("new"), "x").unwrap();
        let changed = modified(dir.path()).unwrap();
        points.clear().unwrap();
        assert!(dir.path().join("a/mine").exists() && !dir.path().join("a/b").exists());
        assert_eq!(modified(dir.path()).unwrap(), changed);
    }
}
