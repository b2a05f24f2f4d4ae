use std::{
    fs::{self, OpenOptions},
    io,
    path::PathBuf,
    thread,
};

use anyhow::Context;
use clap::Args;
use harness_container::{Record, Status};
use harness_runtime::{Exec, Process, Running, Stdio, config::resolve_user, terminal_size};
use signal_hook::{consts, iterator::Signals};

use super::{environment, run::ended};
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Run a command in a running container
///
/// The exit status is the command's; 126 when it could not be run, 127 when it was not found.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub common: Common,
    /// Leave it running in the background
    #[arg(long, short)]
    detach: bool,
    /// Connect standard input
    #[arg(long, short)]
    interactive: bool,
    /// Give it a terminal
    #[arg(long, short)]
    tty: bool,
    /// Set an environment variable; without =VALUE it is taken from the environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory [default: the container's]
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// User, and optionally group, by name or id [default: the container's]
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Give it all capabilities
    #[arg(long)]
    privileged: bool,
    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// The command and its arguments
    #[arg(required = true, value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub fn run(args: &ExecArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let (record, status) = site.look(&args.container)?;
    if status == Status::Paused {
        return Err(Failure::failed(format!("container {} is paused; use unpause", args.container)));
    }
    let running = running(&site, &record)?;
    if args.detach {
        start(&running, args, Stdio::Null)?.detach();
        return Ok(());
    }
    let stdio = match (args.tty, args.interactive) {
        (true, _) => {
            let (rows, cols) = terminal_size(io::stdout()).unwrap_or((24, 80));
            Stdio::Pty { rows, cols }
        }
        (false, true) => Stdio::Inherit,
        (false, false) => without_input()?,
    };
    let mut process = start(&running, args, stdio)?;
    forward_signals(&process)?;
    if args.tty {
        let null = fs::File::open("/dev/null").context("cannot open /dev/null")?;
        match args.interactive {
            true => process.attach(io::stdin(), io::stdout())?,
            false => process.attach(null, io::stdout())?,
        }
    }
    ended(process.wait()?.status())
}

/// A container that runs, for this process to do something in it.
pub fn running(site: &Site, record: &Record) -> Result<Running> {
    let not_running = || Failure::failed(format!("container {} is not running", record.name));
    let state = site.containers.state(&record.id)?.0;
    let found = state.running.ok_or_else(not_running)?;
    let spec = site.containers.spec(&record.id)?.ok_or_else(not_running)?;
    Running::open(&found, &spec)?.ok_or_else(not_running)
}

fn start(running: &Running, args: &ExecArgs, stdio: Stdio) -> Result<Process> {
    let user = args.user.as_ref().map(|user| {
        // The container's own view of its files, with what is mounted over the image.
        resolve_user(&PathBuf::from(format!("/proc/{}/root", running.pid())), user, &[])
    });
    let exec = Exec {
        env: environment(args)?,
        cwd: args.workdir.clone(),
        user: user.transpose()?,
        privileged: args.privileged,
        die_with_parent: !args.detach,
        stdio,
        ..Exec::new(args.command.iter().cloned())
    };
    running.exec(exec).map_err(|error| Failure::Status(error.status(), Some(error.into())))
}

fn environment(args: &ExecArgs) -> Result<Vec<String>> {
    let given = environment::given(&args.env_file, &args.env)?;
    Ok(given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect())
}

fn without_input() -> Result<Stdio> {
    let open = |write: bool| OpenOptions::new().read(!write).write(write).open("/dev/null");
    let input = open(false).context("cannot open /dev/null")?.into();
    let copy = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().context("cannot copy a descriptor");
    Ok(Stdio::Files(input, copy(rustix::stdio::stdout())?, copy(rustix::stdio::stderr())?))
}

/// Signals for this program are the command's, as docker's `--sig-proxy`.
fn forward_signals(process: &Process) -> Result {
    let forwarded =
        [consts::SIGINT, consts::SIGTERM, consts::SIGHUP, consts::SIGQUIT, consts::SIGUSR1, consts::SIGUSR2];
    let mut signals = Signals::new(forwarded).context("cannot handle signals")?;
    let signaller = process.signaller();
    thread::spawn(move || {
        for signal in &mut signals {
            // It may have ended meanwhile.
            let _ = signaller.signal(signal);
        }
    });
    Ok(())
}
