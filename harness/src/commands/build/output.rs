//! Where the result of a build goes.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::ValueEnum;
use harness_builder::{BuildOutcome, switch};
use harness_image::{Image, Reference, Store};
use harness_transfer::{Form, Location, Options, copy_out, into_file};
use storage_driver::MountMode;
use storage_layer::copy::{CopyOptions, Existing};

use super::{BuildArgs, words::words};
use crate::{
    commands::transfer::{
        Lines, RegistryArgs,
        packed::{Packing, packed},
    },
    engine::Session,
    failure::{Failure, Result},
    say,
};

/// What there is, for people.
const TYPES: &str = "local, tar, oci, docker, image, registry or cacheonly";

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An image of the store, with further names.
    Image(Details),
    /// The same, which is given to the registries of its names, too.
    Registry(Details),
    /// Nothing but the cache.
    CacheOnly,
    /// The files, in a directory.
    Local(PathBuf),
    /// The files, as a tar.
    Tar(Destination),
    /// The image, as an archive.
    Archive(Form, Destination, Details),
    /// The image, as a directory with an OCI layout.
    Layout(PathBuf, Details),
}

/// What an image is in an archive or a layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Names instead of those of `--tag`; of an image of the store, beside them.
    names: Vec<Reference>,
    /// How its layers are compressed; as the store has them otherwise.
    packing: Option<Packing>,
}

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

impl Output {
    /// What `--push` and `--load` are short for, and those of `--output`.
    pub fn all(args: &BuildArgs) -> Result<Vec<Self>> {
        let mut all = args.output.iter().map(|output| Self::read(output)).collect::<Result<Vec<_>>>()?;
        if args.push {
            all.push(Self::Registry(Details::default()));
        }
        if args.load {
            all.push(Self::Image(Details::default()));
        }
        Ok(all)
    }

    /// `type=TYPE,dest=PATH`; a path alone is a directory for the files, and `-` a tar of them on standard output.
    pub fn read(text: &str) -> Result<Self> {
        if !text.contains('=') {
            return Ok(if text == "-" { Self::Tar(Destination::Stdout) } else { Self::Local(text.into()) });
        }
        const WORDS: [&str; 7] = ["type", "dest", "name", "tar", "push", "oci-mediatypes", "compression"];
        let mut words = words("--output", text, &WORDS)?;
        let push = words.remove("push").map(|text| yes_or_no("push", &text)).transpose()?;
        if words.remove("oci-mediatypes").map(|text| yes_or_no("oci-mediatypes", &text)).transpose()? == Some(false) {
            return Err(Failure::usage("--output oci-mediatypes=false cannot be met: manifests made here are OCI's"));
        }
        let kind = words.remove("type").ok_or_else(|| Failure::usage(format!("--output needs type={TYPES}")))?;
        let (name, as_tar) = (words.remove("name"), words.remove("tar"));
        let dest = words.remove("dest");
        let packing = words.remove("compression").map(|text| packing("--output", &text)).transpose()?;
        let is_archive = kind == "oci" || (kind == "docker" && dest.is_some());
        let pushes = kind == "registry" || (kind == "image" && push == Some(true));
        if push == Some(true) && !pushes || push == Some(false) && kind == "registry" {
            return Err(Failure::usage(format!("--output type={kind} has no push=...; type=image has")));
        }
        if name.is_some() && !is_archive && !["image", "registry"].contains(&kind.as_str()) {
            return Err(Failure::usage(format!("--output type={kind} has no name; give the image one with --tag")));
        }
        if packing.is_some() && !is_archive && !pushes {
            let why = "--output compression=... is for type=oci, type=docker,dest=FILE and type=registry; the store keeps \
                       layers as they are";
            return Err(Failure::usage(why));
        }
        let details = |name: Option<String>| -> Result<Details> {
            let names = name.iter().flat_map(|names| names.split(',')).map(Reference::parse);
            Ok(Details { names: names.collect::<harness_image::Result<_>>()?, packing })
        };
        let path = |dest: Option<String>| {
            dest.map(PathBuf::from).ok_or_else(|| Failure::usage(format!("--output type={kind} needs dest=PATH")))
        };
        let stream = |dest: Option<String>| match dest.as_deref() {
            None | Some("-") => Destination::Stdout,
            Some(path) => Destination::File(path.into()),
        };
        match kind.as_str() {
            "local" => Ok(Self::Local(path(dest)?)),
            "tar" => Ok(Self::Tar(stream(dest))),
            "oci" if as_tar.as_deref() == Some("false") => Ok(Self::Layout(path(dest)?, details(name)?)),
            "oci" => Ok(Self::Archive(Form::Oci, stream(dest), details(name)?)),
            "docker" if as_tar.is_some_and(|tar| tar == "false") => {
                Err(Failure::usage("--output type=docker is an archive only; type=oci,tar=false makes a directory"))
            }
            // Without a place it means the engine's own images, as with docker.
            "docker" if dest.is_none() => Ok(Self::Image(Details::default())),
            "docker" => Ok(Self::Archive(Form::Docker, stream(dest), details(name)?)),
            "image" | "registry" if dest.is_some() => {
                Err(Failure::usage(format!("--output type={kind} has no dest=...; type=oci and type=docker have")))
            }
            "image" | "registry" if pushes => Ok(Self::Registry(details(name)?)),
            "image" => Ok(Self::Image(details(name)?)),
            "cacheonly" => Ok(Self::CacheOnly),
            other => Err(Failure::usage(format!("--output has no type {other:?}; there are {TYPES}"))),
        }
    }

    /// An image of the store comes of it.
    pub const fn is_image(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Registry(_))
    }

    /// Names that it gives to the image of the store.
    pub fn names(&self) -> &[Reference] {
        if let Self::Image(details) | Self::Registry(details) = self { &details.names } else { &[] }
    }

    /// It is about the files and not about the image.
    const fn is_files(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Tar(_))
    }

    /// Standard output is for it.
    pub const fn takes_stdout(&self) -> bool {
        matches!(self, Self::Tar(Destination::Stdout) | Self::Archive(_, Destination::Stdout, _))
    }

    /// Brings the result there, and tells what a registry has got if that is another manifest than the store's.
    pub fn write(&self, to: &Destinations<'_>, built: &BuildOutcome) -> Result<Option<Image>> {
        let session = to.session;
        if self.is_files() {
            return self.write_files(session, built).map(|()| None);
        }
        let (Self::Archive(_, _, details) | Self::Layout(_, details) | Self::Registry(details)) = self else {
            return Ok(None);
        };
        let is_named = details.names.is_empty() || self.is_image();
        let names = if is_named { to.names } else { &details.names };
        packed(&session.store, std::slice::from_ref(&built.image), details.packing, |store, images| {
            images.iter().try_for_each(|image| match self {
                Self::Registry(_) => push(to, store, image),
                _ => self.write_image(store, image, names),
            })?;
            Ok(images.first().filter(|_| self.is_image()).cloned())
        })
    }

    fn write_image(&self, store: &Store, image: &Image, names: &[Reference]) -> Result {
        match self {
            Self::Archive(form, Destination::Stdout, _) => {
                Ok(harness_transfer::save(store, &[(image, names)], *form, &mut stdout()?.lock(), "standard output")?)
            }
            Self::Archive(form, Destination::File(path), _) => {
                let name = path.display().to_string();
                Ok(into_file(path, 0o600, |out| harness_transfer::save(store, &[(image, names)], *form, out, &name))?)
            }
            Self::Layout(path, _) => {
                let tag = names.first().and_then(Reference::tag).map(str::to_owned);
                let to = Location::Oci(path.clone(), tag);
                Ok(copy_out(store, image, &to, &Options::default(), &())?)
            }
            _ => Ok(()),
        }
    }

    fn write_files(&self, session: &Session, built: &BuildOutcome) -> Result {
        let Some(layer) = session.layers.ensure(&built.image)? else {
            let empty = tempfile::tempdir()?;
            return self.write_tree(empty.path());
        };
        let mounted = session.driver().mount(&layer, MountMode::ReadOnly)?;
        let written = self.write_tree(mounted.path());
        let closed = mounted.close();
        written?;
        Ok(closed?)
    }

    fn write_tree(&self, tree: &Path) -> Result {
        match self {
            Self::Local(dir) => {
                fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
                // They belong to who asked for them.
                let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
                let options =
                    CopyOptions { owner: Some(owner), existing: Existing::Overwrite, ..CopyOptions::default() };
                storage_layer::copy::tree(tree, dir, &options)?;
                Ok(())
            }
            Self::Tar(Destination::Stdout) => {
                let mut out = io::BufWriter::new(stdout()?);
                storage_layer::tree::diff(None, tree, &mut out)?;
                Ok(out.flush()?)
            }
            Self::Tar(Destination::File(path)) => {
                into_file(path, 0o644, |out| -> anyhow::Result<()> {
                    storage_layer::tree::diff(None, tree, out)?;
                    Ok(())
                })?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What results are written with.
pub struct Destinations<'a> {
    pub session: &'a Session,
    /// All names of the image.
    pub names: &'a [Reference],
    pub registry: &'a RegistryArgs,
    pub quiet: bool,
}

fn push(to: &Destinations<'_>, store: &Store, image: &Image) -> Result {
    to.names.iter().try_for_each(|name| {
        if !to.quiet {
            say(&format!("pushing {name}"));
        }
        let place = Location::Registry(name.clone());
        let pushed = copy_out(store, image, &place, &to.registry.options(), &Lines { quiet: to.quiet });
        pushed.map_err(|error| Failure::Failed(error.into()))
    })
}

fn yes_or_no(name: &str, text: &str) -> Result<bool> {
    switch(text).ok_or_else(|| Failure::usage(format!("--output {name} is true or false, not {text:?}")))
}

/// A value of `compression=`.
pub fn packing(option: &str, text: &str) -> Result<Packing> {
    let wrong = |_| Failure::usage(format!("{option} compression is uncompressed, gzip or zstd, not {text:?}"));
    Packing::from_str(text, false).map_err(wrong)
}

/// A terminal is no place for an archive.
fn stdout() -> Result<io::Stdout> {
    let out = io::stdout();
    if out.is_terminal() {
        return Err(Failure::usage("this would write an archive to the terminal; give --output dest=FILE, or a pipe"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_reference() {
        let file = || Destination::File("f".into());
        let packed = Details { names: vec!["a:1".parse().unwrap()], packing: Some(Packing::Zstd) };
        let named = Details { packing: None, ..packed.clone() };
        for (text, expected) in [
            ("out", Output::Local("out".into())),
            ("-", Output::Tar(Destination::Stdout)),
            ("type=local,dest=out", Output::Local("out".into())),
            ("type=tar,dest=f", Output::Tar(file())),
            ("type=tar", Output::Tar(Destination::Stdout)),
            ("type=oci,dest=f", Output::Archive(Form::Oci, file(), Details::default())),
            ("type=oci,dest=f,tar=false", Output::Layout("f".into(), Details::default())),
            ("type=docker,dest=-", Output::Archive(Form::Docker, Destination::Stdout, Details::default())),
            ("type=oci,dest=f,name=a:1,compression=zstd", Output::Archive(Form::Oci, file(), packed.clone())),
            ("type=docker", Output::Image(Details::default())),
            ("type=image,name=a:1,push=false", Output::Image(named.clone())),
            ("type=image,name=a:1,push=true", Output::Registry(named.clone())),
            ("type=registry,name=a:1", Output::Registry(named)),
            ("type=registry,compression=zstd", Output::Registry(Details { names: vec![], ..packed.clone() })),
            ("type=cacheonly", Output::CacheOnly),
        ] {
            assert_eq!(Output::read(text).unwrap(), expected, "{text}");
        }
        for text in [
            "type=local",
            "type=zip,dest=x",
            "dest=x",
            "type=image,push=maybe",
            "type=oci,dest=f,push=true",
            "type=registry,push=false",
            "type=registry,dest=f",
            "type=image,oci-mediatypes=false",
            "type=oci,what=x",
            "type=tar,name=x",
            "type=oci,compression=lz4",
            "type=image,compression=gzip",
            "type=oci,name=Not A Name",
        ] {
            assert!(Output::read(text).is_err(), "{text}");
        }
    }
}
