//! `cp`: docker's rules for what is copied where.

mod files;
mod place;

use std::{
    ffi::OsStr,
    io::{self, BufWriter, IsTerminal, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use storage_driver::Bytes;
use storage_layer::{
    ApplyOptions, Devices, Whiteouts,
    copy::{self, CopyOptions, Existing},
    tree,
};
use storage_sys::userns;

use self::{
    files::Files,
    place::{Base, Located, Written, by_descriptor, directory_in},
};
use super::export::not_to_a_terminal;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
    say,
};

/// Copy files between a container and here; the container need not run
///
/// One of the two is CONTAINER:PATH. A directory is copied into one that is there; SOURCE/. is what is in it. With - a tar is
/// read from standard input, or written to standard output.
#[derive(Debug, Args)]
pub struct CpArgs {
    #[command(flatten)]
    pub common: Common,
    /// Keep user and group; else files are root's in a container, and yours here
    #[arg(long, short)]
    archive: bool,
    /// Copy what SOURCE leads to if it is a symbolic link
    #[arg(long, short = 'L')]
    follow_link: bool,
    /// Say nothing of what was copied; the default where standard error is no terminal
    #[arg(long, short)]
    quiet: bool,
    /// PATH, CONTAINER:PATH or -
    source: String,
    /// PATH, CONTAINER:PATH or -
    destination: String,
}

/// One of the two arguments.
enum Argument<'a> {
    Stream,
    Here(&'a str),
    In(&'a str, &'a str),
}

impl<'a> Argument<'a> {
    /// As docker reads it: what begins with `/` or `.` is a path here.
    fn read(text: &'a str) -> Self {
        match text.split_once(':') {
            _ if text == "-" => Self::Stream,
            Some((container, path)) if !text.starts_with(['/', '.']) => Self::In(container, path),
            _ => Self::Here(text),
        }
    }
}

pub fn run(args: &CpArgs) -> Result {
    let here = |text: &str| -> Result<End> {
        let written = Written::read(text, &std::env::current_dir().context("cannot find the working directory")?);
        let is_empty = text.is_empty();
        if is_empty { Err(Failure::usage("a path is empty")) } else { Ok(End::here(written, text)) }
    };
    match (Argument::read(&args.source), Argument::read(&args.destination)) {
        (Argument::In(..), Argument::In(..)) => Err(Failure::usage("copying between containers is not supported")),
        (Argument::In(container, path), destination) => {
            within(args, container, path, false, |from| match destination {
                Argument::Here(text) => copy_to(args, from, &here(text)?, None),
                _ => write_tar(args, from),
            })
        }
        (source, Argument::In(container, path)) => within(args, container, path, true, |to| match source {
            Argument::Here(text) => copy_to(args, &here(text)?, to, Some((0, 0))),
            _ => read_tar(to),
        }),
        _ => Err(Failure::usage("one of the two has to be in a container: CONTAINER:PATH")),
    }
}

/// One end of a copy.
struct End {
    base: Base,
    /// As it was written.
    written: Written,
    /// Where that is below the base.
    path: PathBuf,
    /// For messages.
    shown: String,
}

impl End {
    fn here(written: Written, shown: &str) -> Self {
        Self { base: Base::Here, path: written.path.clone(), written, shown: shown.to_owned() }
    }

    fn locate(&self, follow: bool) -> Result<Located> {
        self.base.locate(&self.path, follow).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.fails("there is no such directory above it"),
            _ => self.fails(error),
        })
    }

    fn fails(&self, why: impl std::fmt::Display) -> Failure {
        Failure::Failed(anyhow!("cannot copy {}: {why}", self.shown))
    }
}

/// Does something with a place in a container.
fn within(args: &CpArgs, name: &str, path: &str, write: bool, work: impl FnOnce(&End) -> Result) -> Result {
    if path.is_empty() {
        return Err(Failure::usage(format!("{name}: lacks its path; write {name}:/ for all of it")));
    }
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(name)?;
    let written = Written::read(path, Path::new("/"));
    let follow = write || args.follow_link || written.is_directory;
    let mut files = Files::open(&site, &record, &written.path, follow)?;
    let end = End {
        base: std::mem::replace(&mut files.base, Base::Here),
        path: files.path.clone(),
        shown: format!("{name}:{path}"),
        written,
    };
    let worked = if write && files.read_only { Err(end.fails("it is read-only in the container")) } else { work(&end) };
    // Its descriptor would keep the mount busy.
    drop(end);
    let closed = files.close();
    worked.and(closed)
}

/// What is copied.
enum Source {
    Directory(OwnedFd),
    Entry(OwnedFd, std::ffi::OsString),
}

impl Source {
    fn find(args: &CpArgs, from: &End) -> Result<Self> {
        match from.locate(args.follow_link || from.written.is_directory)? {
            Located::Directory(fd) => Ok(Self::Directory(fd)),
            Located::Entry(..) if from.written.is_directory => Err(from.fails("it is not a directory")),
            Located::Entry(dir, name) => Ok(Self::Entry(dir, name)),
            Located::Missing(..) => Err(from.fails("there is no such file or directory")),
        }
    }
}

/// Where it goes, as it will be called.
enum Target {
    /// What is in a directory goes into this one, which has its own attributes already or not.
    Into(OwnedFd, bool),
    Name(OwnedFd, std::ffi::OsString),
}

impl Target {
    fn find(source: &Source, from: &Written, to: &End) -> Result<Self> {
        let is_directory = matches!(source, Source::Directory(_));
        let made = |dir: &OwnedFd, name: &OsStr| {
            directory_in(dir, name).map(|fd| Self::Into(fd, false)).map_err(|error| match error.raw_os_error() {
                Some(code) if code == rustix::io::Errno::NOTDIR.raw_os_error() => {
                    to.fails(format!("{} is there, and is not a directory", Path::new(name).display()))
                }
                _ => to.fails(error),
            })
        };
        match to.locate(true)? {
            Located::Directory(fd) if is_directory && from.is_contents => Ok(Self::Into(fd, true)),
            Located::Directory(fd) if is_directory => made(&fd, from.name()),
            Located::Directory(fd) => Ok(Self::Name(fd, from.name().to_owned())),
            Located::Entry(..) if to.written.is_directory => Err(to.fails("it is not a directory")),
            Located::Entry(..) if is_directory => Err(to.fails("a directory does not replace a file")),
            Located::Missing(..) if to.written.is_directory && !is_directory => {
                Err(to.fails("the destination directory has to exist"))
            }
            Located::Missing(dir, name) if is_directory => made(&dir, &name),
            Located::Entry(dir, name) | Located::Missing(dir, name) => Ok(Self::Name(dir, name)),
        }
    }
}

fn copy_to(args: &CpArgs, from: &End, to: &End, owner: Option<(u32, u32)>) -> Result {
    let source = Source::find(args, from)?;
    let target = Target::find(&source, &from.written, to)?;
    let mine = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let options = CopyOptions {
        owner: if args.archive { None } else { Some(owner.unwrap_or_else(mine)) },
        existing: Existing::Overwrite,
        skip_privileged_xattrs: userns::is_active(),
        ..CopyOptions::default()
    };
    let copied = match (&source, &target) {
        (Source::Directory(dir), Target::Into(into, is_finished)) => {
            let (dir, into) = (by_descriptor(dir), by_descriptor(into));
            copy::tree(&dir, &into, &options).and_then(|stats| {
                if !is_finished {
                    copy::attributes(&dir, &into, &options)?;
                }
                Ok(stats)
            })
        }
        (Source::Entry(dir, name), Target::Name(into, as_name)) => {
            copy::file(&by_descriptor(dir).join(name), &by_descriptor(into).join(as_name), &options)
        }
        (Source::Directory(_), Target::Name(..)) | (Source::Entry(..), Target::Into(..)) => {
            return Err(to.fails("one of the two is a directory, and the other is not"));
        }
    };
    let stats = copied.map_err(|error| as_written(&error, &[(from, source.fd()), (to, target.fd())]))?;
    stats.skipped.iter().for_each(|skipped| say(&format!("left out: {}: {}", skipped.path.display(), skipped.why)));
    told(args, stats.bytes, &from.shown, &to.shown);
    Ok(())
}

impl Source {
    const fn fd(&self) -> &OwnedFd {
        match self {
            Self::Directory(fd) | Self::Entry(fd, _) => fd,
        }
    }
}

impl Target {
    const fn fd(&self) -> &OwnedFd {
        match self {
            Self::Into(fd, _) | Self::Name(fd, _) => fd,
        }
    }
}

/// An error in the names that the user knows.
fn as_written(error: &storage_layer::Error, ends: &[(&End, &OwnedFd)]) -> Failure {
    let mut text = error.to_string();
    for (end, fd) in ends {
        text = text.replace(&by_descriptor(fd).display().to_string(), &format!("[{}]", end.shown));
    }
    Failure::Failed(anyhow!("{text}"))
}

fn write_tar(args: &CpArgs, from: &End) -> Result {
    not_to_a_terminal("a path")?;
    let source = Source::find(args, from)?;
    let name = from.written.name().as_bytes();
    let mut out = BufWriter::new(io::stdout());
    let written = match &source {
        Source::Directory(dir) if from.written.is_contents => tree::diff(None, &by_descriptor(dir), &mut out),
        Source::Directory(dir) => tree::archive(&by_descriptor(dir), name, &mut out),
        Source::Entry(dir, entry) => tree::archive_one(&by_descriptor(dir), entry.as_bytes(), name, &mut out),
    };
    let stats = written.map_err(|error| as_written(&error, &[(from, source.fd())]))?;
    stats.skipped.iter().for_each(|skipped| say(&format!("left out: {}: {}", skipped.path.display(), skipped.why)));
    Ok(out.flush()?)
}

/// The tar is as untrusted as a layer, but is none: names like those of whiteouts mean nothing.
fn read_tar(to: &End) -> Result {
    let Located::Directory(dir) = to.locate(true)? else {
        return Err(to.fails("a tar goes into a directory that is there"));
    };
    let devices = if userns::is_active() { Devices::Skip } else { Devices::Create };
    let options = ApplyOptions { devices, whiteouts: Whiteouts::Literal, ..ApplyOptions::default() };
    let applied = storage_layer::apply(&by_descriptor(&dir), &mut io::stdin(), &options);
    applied.map(|_| ()).map_err(|error| as_written(&error, &[(to, &dir)]))
}

fn told(args: &CpArgs, size: Bytes, from: &str, to: &str) {
    if !args.quiet && io::stderr().is_terminal() {
        say(&format!("copied {size} from {from} to {to}"));
    }
}
