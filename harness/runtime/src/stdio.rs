use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{FileType, Gid, Uid, fchown},
    pipe::PipeFlags,
};

use crate::{Error, Result, plan::Mapping};

/// Where a container's standard streams go.
#[derive(Debug, Default)]
pub enum Stdio {
    /// To those of this process.
    #[default]
    Inherit,
    /// Nowhere: reads are at the end, writes vanish.
    Null,
    /// To pipes, see [`Process::take_stdin`](crate::Process::take_stdin) and the like.
    Pipes,
    /// Output to pipes; no input.
    Output,
    /// To a new terminal, see [`Process::take_pty`](crate::Process::take_pty).
    Pty {
        /// Its height in lines.
        rows: u16,
        /// Its width in characters.
        cols: u16,
    },
    /// To these files: input, output, errors.
    Files(OwnedFd, OwnedFd, OwnedFd),
}

/// Both sides of the standard streams of a container that is being started.
pub(crate) struct Streams {
    child: [Option<OwnedFd>; 3],
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: Option<File>,
    pub(crate) stderr: Option<File>,
}

impl Streams {
    pub(crate) fn open(stdio: Stdio) -> Result<Self> {
        let (mut stdin, mut stdout, mut stderr) = (None, None, None);
        let child = match stdio {
            Stdio::Inherit => [None, None, None],
            Stdio::Files(input, output, errors) => [Some(input), Some(output), Some(errors)],
            // The terminal takes the place of these in the container.
            Stdio::Null | Stdio::Pty { .. } => {
                let null = null()?;
                let copy = || null.try_clone().map_err(Error::io("copy a descriptor"));
                [Some(copy()?), Some(copy()?), Some(null)]
            }
            Stdio::Pipes | Stdio::Output => {
                let input = if matches!(stdio, Stdio::Pipes) {
                    let (theirs, ours) = pipe()?;
                    stdin = Some(ours.into());
                    theirs
                } else {
                    null()?
                };
                let (ours, output) = pipe()?;
                stdout = Some(ours.into());
                let (ours, errors) = pipe()?;
                stderr = Some(ours.into());
                [Some(input), Some(output), Some(errors)]
            }
        };
        Ok(Self { child, stdin, stdout, stderr })
    }

    /// Gives the pipes to a user of the container's own user namespace, who else could not open `/dev/stdout` anew.
    pub(crate) fn give_to(&self, users: &Mapping, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (users.uid(uid).map(Uid::from_raw), users.gid(gid).map(Gid::from_raw));
        for stream in self.child.iter().flatten() {
            let kind = rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
            if kind.map_err(Error::io("look at the standard streams"))? == FileType::Fifo {
                fchown(stream, uid, gid).map_err(Error::io("give the pipes to the container's user"))?;
            }
        }
        Ok(())
    }

    /// The container's descriptors 0, 1 and 2.
    pub(crate) fn child(&self) -> [BorrowedFd<'_>; 3] {
        let [input, output, errors] = &self.child;
        [
            input.as_ref().map_or(rustix::stdio::stdin(), OwnedFd::as_fd),
            output.as_ref().map_or(rustix::stdio::stdout(), OwnedFd::as_fd),
            errors.as_ref().map_or(rustix::stdio::stderr(), OwnedFd::as_fd),
        ]
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(Error::io("make a pipe"))
}

fn null() -> Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null").map_err(Error::io("open /dev/null"))?;
    Ok(file.into())
}
