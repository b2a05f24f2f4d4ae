//! Where COPY and ADD put each source.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use harness_image::open_archive;
use storage_layer::{
    ApplyOptions, Devices, Owners, Whiteouts,
    copy::{self, CopyOptions},
};
use storage_sys::userns;

use super::{Prepared, ignore_below, keep};
use crate::{
    Error, Ignore, Result, archive,
    context::{Found, Jail, shown},
    execute::step::Step,
};

/// What all sources of one instruction share.
pub struct Placing<'a> {
    pub step: Step<'a>,
    pub copy: &'a Prepared,
    pub to: &'a Jail,
    /// Relative to the root.
    pub target: PathBuf,
    pub options: CopyOptions<'a>,
}

impl Placing<'_> {
    fn fails(&self, what: &Path, error: &io::Error) -> Error {
        self.step.fails(format!("cannot copy {} to /{}: {error}", shown(what), shown(&self.target)))
    }

    /// Puts one source where it belongs; `several` says that it is one of many, `unpack` that archives are unpacked.
    pub fn put(&self, found: &Found, several: bool, unpack: bool, ignore: &Ignore) -> Result<()> {
        if unpack && !found.is_dir && archive::is_tar(&found.path).map_err(Error::io("read", &found.path))? {
            return self.unpack(found);
        }
        if found.is_dir {
            let kept = if self.copy.parents { found.kept.as_path() } else { Path::new("") };
            return self.directory(found, &self.target.join(kept), ignore);
        }
        let above = found.kept.parent().filter(|_| self.copy.parents).unwrap_or(Path::new(""));
        let target = self.target.join(above);
        let place = self.place(found.name.file_name().unwrap_or_default().as_ref(), &target, several)?;
        copy::file(&found.path, &place, &self.options)?;
        Ok(())
    }

    fn directory(&self, found: &Found, target: &Path, ignore: &Ignore) -> Result<()> {
        let made = self.to.make_directories(target, self.options.owner);
        let dir = made.map_err(|error| self.fails(&found.name, &error))?;
        let ignore = ignore_below(ignore, self.copy, found);
        let filter = keep(&ignore, &found.name);
        copy::tree(&found.path, &dir, &CopyOptions { filter: Some(&filter), ..self.options })?;
        Ok(())
    }

    /// The real path of a file that is to be called `name` if the target is a directory.
    fn place(&self, name: &Path, target: &Path, several: bool) -> Result<PathBuf> {
        let fail = |error| self.fails(name, &error);
        let is_directory =
            self.copy.into_directory || several || self.to.resolve(target).is_ok_and(|path| path.is_dir());
        let place = if is_directory {
            self.to.make_directories(target, self.options.owner).map_err(fail)?.join(name)
        } else {
            let parent = target.parent().unwrap_or(Path::new(""));
            self.to.make_directories(parent, self.options.owner).map_err(fail)?;
            // A symlink in the image is followed, within the image.
            self.to.resolve(target).or_else(|_| self.to.resolve_parent(target)).map_err(fail)?
        };
        if fs::symlink_metadata(&place).is_ok_and(|there| there.is_dir()) {
            return Err(fail(io::Error::other("a directory is in the way")));
        }
        Ok(place)
    }

    /// A file that the Dockerfile holds itself.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let place = self.place(Path::new(name), &self.target, false)?;
        let written = || -> io::Result<()> {
            match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::write(&place, content)?;
            let (uid, gid) = self.options.owner.unwrap_or((0, 0));
            chown(&place, Some(uid), Some(gid))?;
            fs::set_permissions(
                &place,
                Permissions::from_mode(self.options.mode.map_or(0o644, |change| change(0o644, false))),
            )
        };
        written().map_err(|error| self.fails(Path::new(name), &error))
    }

    /// The archive is as untrusted as a layer, but is none: names like those of whiteouts mean nothing.
    fn unpack(&self, found: &Found) -> Result<()> {
        let dir = self.to.make_directories(&self.target, Some((0, 0)));
        let dir = dir.map_err(|error| self.fails(&found.name, &error))?;
        let tar = File::open(&found.path).map_err(Error::io("open", &found.path))?;
        let mut tar = open_archive(tar).map_err(Error::io("read", &found.path))?;
        let devices = if userns::is_active() { Devices::Skip } else { Devices::Create };
        let owners = match self.options.owner.filter(|_| self.copy.owner.is_some()) {
            Some((uid, gid)) => Owners::Give(uid, gid),
            None => Owners::Keep,
        };
        let options = ApplyOptions { owners, devices, whiteouts: Whiteouts::Literal, ..ApplyOptions::default() };
        storage_layer::apply(&dir, &mut tar, &options)
            .map_err(|error| self.step.fails(format!("cannot unpack {}: {error}", shown(&found.name))))?;
        Ok(())
    }
}
