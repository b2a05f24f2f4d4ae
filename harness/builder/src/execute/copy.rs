//! COPY and ADD.

use std::{
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use storage_driver::MountMode;
use storage_layer::{
    ApplyOptions, Devices, Digest, Owners,
    copy::{self, CopyOptions, Existing, Keep},
};
use storage_sys::userns;

use super::{Build, config::State};
use crate::{
    Copy, CopySource, Error, Ignore, Instruction, Result,
    context::{Found, Jail, archive, clean, find, shown, walk},
    stages::{Source, find as find_stage},
};

/// A COPY whose names and flags are expanded.
pub struct Prepared {
    pub copy: Copy,
    /// The target, absolute in the image; ends in `/` in the Dockerfile.
    target: PathBuf,
    into_directory: bool,
    /// What is copied from another stage or image.
    other: Option<State>,
}

impl Build<'_> {
    /// Expands a COPY; `expand` does it with the place of the instruction for errors.
    pub fn prepare_copy(
        &self,
        stage: usize,
        state: &State,
        copy: &Copy,
        expand: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Prepared> {
        let option = |text: &Option<String>| text.as_deref().map(expand).transpose();
        let copy = Copy {
            source: copy.source.clone(),
            sources: copy.sources.iter().map(|source| expand(source)).collect::<Result<_>>()?,
            target: expand(&copy.target)?,
            owner: option(&copy.owner)?,
            mode: option(&copy.mode)?,
            unpack: copy.unpack,
        };
        let other = match &copy.source {
            CopySource::Context => None,
            CopySource::From(name) => Some(match find_stage(&self.file, stage, name, true) {
                Source::Stage(number) => self.done.get(&number).cloned().ok_or(Error::Stopped)?,
                Source::Scratch => State::scratch(),
                Source::Image(name) => State::of_image(&self.layers.store().resolve(&name)?),
            }),
        };
        let target = Path::new(if state.workdir.is_empty() { "/" } else { &state.workdir }).join(&copy.target);
        let into_directory =
            copy.target.ends_with('/') || copy.target == "." || copy.target.ends_with("/.") || copy.sources.len() > 1;
        Ok(Prepared { copy, target, into_directory, other })
    }

    /// The step's key: what is said, and what the files are.
    pub fn copy_key(&self, state: &State, instruction: &Instruction, copy: &Prepared) -> Result<Digest> {
        let mut key = state.key(if copy.copy.unpack { "ADD" } else { "COPY" });
        key.add(copy.target.as_os_str().as_bytes());
        key.add(&[u8::from(copy.into_directory)]);
        for option in [&copy.copy.owner, &copy.copy.mode] {
            key.add(option.as_deref().unwrap_or_default().as_bytes());
        }
        if let Some(other) = &copy.other {
            key.add(other.chain.map_or_else(String::new, |chain| chain.to_string()).as_bytes());
            copy.copy.sources.iter().for_each(|source| key.add(source.as_bytes()));
            return Ok(key.finish());
        }
        for found in self.find_all(&self.context, instruction, &copy.copy, &self.ignore)? {
            key.add(&[u8::from(found.is_dir)]);
            walk(&found, &self.ignore, &mut |name, path| key.add_file(name, path))
                .map_err(Error::io("read", &found.path))?;
        }
        Ok(key.finish())
    }

    /// Copies into the mounted tree at `root`.
    pub fn copy(&self, instruction: &Instruction, copy: &Prepared, root: &Path) -> Result<()> {
        let to = Jail::open(root).map_err(Error::io("open", root))?;
        let Some(other) = &copy.other else {
            return self.copy_all(instruction, copy, &self.context, &to, &self.ignore);
        };
        let Some(layer) = self.lay_out(other)? else {
            return Err(self.wrong(instruction, "there is nothing to copy from an empty stage".to_owned()));
        };
        let mounted = self.layers.driver().mount(&layer, MountMode::ReadOnly)?;
        let from = Jail::open(mounted.path()).map_err(Error::io("open", mounted.path()))?;
        let copied = self.copy_all(instruction, copy, &from, &to, &Ignore::default());
        drop(from);
        let closed = mounted.close();
        copied?;
        Ok(closed?)
    }

    fn wrong(&self, instruction: &Instruction, why: String) -> Error {
        instruction.place.wrong(why).in_file(&self.file_name).into()
    }

    fn find_all(&self, from: &Jail, instruction: &Instruction, copy: &Copy, ignore: &Ignore) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for source in &copy.sources {
            let found = find(from, source, ignore).map_err(Error::io("look for", from.root().join(source)))?;
            if found.is_empty() {
                let ignored = find(from, source, &Ignore::default()).is_ok_and(|found| !found.is_empty());
                let place =
                    if copy.source == CopySource::Context { "the build context" } else { "that stage or image" };
                let why = if ignored {
                    "it is excluded by .dockerignore".to_owned()
                } else {
                    format!("it is not in {place}")
                };
                return Err(self.wrong(instruction, format!("cannot copy {source:?}: {why}")));
            }
            all.extend(found);
        }
        Ok(all)
    }

    fn copy_all(
        &self,
        instruction: &Instruction,
        copy: &Prepared,
        from: &Jail,
        to: &Jail,
        ignore: &Ignore,
    ) -> Result<()> {
        let all = self.find_all(from, instruction, &copy.copy, ignore)?;
        let into_directory = copy.into_directory || all.len() > 1;
        let given = self.owner(instruction, copy, to)?;
        let owner = given.or((copy.copy.source == CopySource::Context).then_some((0, 0)));
        let mode = copy.copy.mode.as_deref().map(|mode| self.mode(instruction, mode)).transpose()?;
        let options = CopyOptions {
            owner,
            mode,
            existing: Existing::Merge,
            skip_privileged_xattrs: userns::is_active(),
            ..CopyOptions::default()
        };
        let target = clean(&copy.target);
        for found in &all {
            self.copy_one(instruction, copy, found, to, &target, into_directory, &options, ignore)?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one source of many, with what all of them share")]
    fn copy_one(
        &self,
        instruction: &Instruction,
        copy: &Prepared,
        found: &Found,
        to: &Jail,
        target: &Path,
        into_directory: bool,
        options: &CopyOptions<'_>,
        ignore: &Ignore,
    ) -> Result<()> {
        let fail = |error: std::io::Error| {
            self.wrong(instruction, format!("cannot copy {} to /{}: {error}", shown(&found.name), shown(target)))
        };
        if found.is_dir {
            let dir = to.make_directories(target, options.owner).map_err(fail)?;
            let keep = |below: &Path, is_dir: bool| {
                if !ignore.excludes(&found.name.join(below)) {
                    Keep::Yes
                } else if is_dir && ignore.takes_something_back() {
                    Keep::Within
                } else {
                    Keep::No
                }
            };
            copy::tree(&found.path, &dir, &CopyOptions { filter: Some(&keep), ..*options })?;
            return Ok(());
        }
        if copy.copy.unpack {
            match archive(&found.path).map_err(Error::io("read", &found.path))? {
                Ok(true) if copy.copy.owner.is_some() || copy.copy.mode.is_some() => {
                    let why =
                        format!("ADD --chown and --chmod of an archive are not supported yet: {}", shown(&found.name));
                    return Err(self.wrong(instruction, why));
                }
                Ok(true) => return self.unpack(instruction, found, to, target),
                Ok(false) => {}
                Err(kind) => {
                    let why = format!("ADD of {kind} archives is not supported yet: {}", shown(&found.name));
                    return Err(self.wrong(instruction, why));
                }
            }
        }
        let is_directory = into_directory || to.resolve(target).is_ok_and(|path| path.is_dir());
        let place = if is_directory {
            to.make_directories(target, options.owner).map_err(fail)?.join(found.path.file_name().unwrap_or_default())
        } else {
            let parent = target.parent().unwrap_or(Path::new(""));
            to.make_directories(parent, options.owner).map_err(fail)?;
            // A symlink in the image is followed, within the image.
            to.resolve(target).or_else(|_| to.resolve_parent(target)).map_err(fail)?
        };
        if fs::symlink_metadata(&place).is_ok_and(|there| there.is_dir()) {
            return Err(fail(std::io::Error::other("a directory is in the way")));
        }
        copy::file(&found.path, &place, options)?;
        Ok(())
    }

    /// The archive is as untrusted as a layer, and laid out as one.
    fn unpack(&self, instruction: &Instruction, found: &Found, to: &Jail, target: &Path) -> Result<()> {
        let dir = to
            .make_directories(target, Some((0, 0)))
            .map_err(|error| self.wrong(instruction, format!("cannot unpack to /{}: {error}", shown(target))))?;
        let mut tar = File::open(&found.path).map_err(Error::io("open", &found.path))?;
        let devices = if userns::is_active() { Devices::Skip } else { Devices::Create };
        let options = ApplyOptions { owners: Owners::Keep, devices, ..ApplyOptions::default() };
        storage_layer::apply(&dir, &mut tar, &options)
            .map_err(|error| self.wrong(instruction, format!("cannot unpack {}: {error}", shown(&found.name))))?;
        Ok(())
    }

    /// `--chown=USER[:GROUP]`: names are those of the image that is being made.
    fn owner(&self, instruction: &Instruction, copy: &Prepared, image: &Jail) -> Result<Option<(u32, u32)>> {
        let Some(text) = &copy.copy.owner else { return Ok(None) };
        let (user, group) = text.split_once(':').map_or((text.as_str(), None), |(user, group)| (user, Some(group)));
        let look_up = |name: &str, file: &str, what: &str| {
            name.parse()
                .ok()
                .or_else(|| id_of(image, file, name))
                .ok_or_else(|| self.wrong(instruction, format!("the image's /{file} has no {what} named {name}")))
        };
        let uid = look_up(user, "etc/passwd", "user")?;
        let gid = match group {
            Some(group) => look_up(group, "etc/group", "group")?,
            None => uid,
        };
        Ok(Some((uid, gid)))
    }

    fn mode(&self, instruction: &Instruction, text: &str) -> Result<u32> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.wrong(instruction, format!("--chmod takes an octal mode such as 755, not {text:?}")))
    }
}

/// passwd(5) and group(5): the name first, the id third.
fn id_of(image: &Jail, file: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(image.resolve(Path::new(file)).ok()?).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}
