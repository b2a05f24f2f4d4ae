//! The supervisor of a detached container: this program again, in the background.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use clap::Args;
use harness_container::{Ahead, Front, Record, Supervisor};
use serde::{Deserialize, Serialize};

use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// What a supervisor warns of, in the container's directory.
const LOG: &str = "supervisor.log";

/// Look after a container in the background
#[derive(Debug, Args)]
pub struct SuperviseArgs {
    #[command(flatten)]
    pub common: Common,
    /// Standard input is a connection to who is in front of the container, whose terminal has this size
    #[arg(long, num_args = 2, value_names = ["ROWS", "COLUMNS"])]
    front: Option<Vec<u16>>,
    /// The container's input comes from there
    #[arg(long, requires = "front")]
    interactive: bool,
    /// The container's id
    container: String,
}

/// How the start went; a line of JSON on the supervisor's standard output.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// Why it was not started.
    error: Option<String>,
    /// docker's exit status for that.
    status: u8,
}

pub fn run(args: &SuperviseArgs) -> Result {
    // The terminal's hang-up and its keys are not for containers in the background.
    nix::unistd::setsid().context("cannot begin a session")?;
    std::env::set_current_dir("/").context("cannot go to /")?;
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let front = front(args).context("cannot take the connection of who is in front")?;
    let looked_after = look_after(&site, &args.container, front);
    if let Err(failure) = &looked_after {
        let status = if let Failure::Status(status, _) = failure { *status } else { 125 };
        // Where nobody listens any more, it is in the log.
        let _ = tell(&Told { error: Some(failure.to_string()), status });
    }
    looked_after
}

fn front(args: &SuperviseArgs) -> io::Result<Front> {
    let Some(&[rows, columns]) = args.front.as_deref() else { return Ok(Front::Nobody) };
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Else there would be an end of it that nobody closes.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Front::Client(Ahead { stream, interactive: args.interactive, size: (rows, columns) }))
}

fn look_after(site: &Site, id: &str, front: Front) -> Result {
    let record = site.find(id)?;
    let held = site.hold(&record)?;
    let networks = &site.place.networks();
    let (containers, volumes) = (&site.containers, &site.volumes);
    let supervisor = Supervisor { containers, volumes, networks, host: site, record, held, front };
    let mut begun = false;
    let ran = supervisor.run(&mut || {
        if !begun {
            let _ = tell(&Told::default());
            begun = true;
        }
    });
    match ran {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Status(error.status(), Some(error.into()))),
    }
}

/// Says how the start went, and says nothing more: who started this must not wait for its end.
fn tell(told: &Told) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(&serde_json::to_vec(told)?)?;
    out.write_all(b"\n")?;
    out.flush()?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// Starts a supervisor for a container, which may have somebody in front of it, and returns when the container runs.
pub fn start(site: &Site, record: &Record, ahead: Option<Ahead>) -> Result {
    let own = std::env::current_exe().context("cannot find this program")?;
    let log = site.containers.dir(&record.id).join(LOG);
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
    let log: File = open().with_context(|| format!("cannot open {}", log.display()))?;
    let mut command = Command::new(own);
    command.arg("supervise").arg("--root").arg(site.place.path()).arg(&record.id);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    if let Some(Ahead { stream, interactive, size: (rows, columns) }) = ahead {
        command.arg("--front").args([rows, columns].map(|number| number.to_string()));
        command.args(interactive.then_some("--interactive")).stdin(OwnedFd::from(stream));
    }
    let mut child = command.spawn().context("cannot start the container's supervisor")?;
    // With it the supervisor's end of a connection, so that the supervisor's end is seen.
    drop(command);
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).context("cannot listen to the container's supervisor")?;
    }
    // It stays, and is not waited for: when this program ends, init is its parent.
    let told: Told = serde_json::from_str(&line).map_err(|_| {
        let dir = site.containers.dir(&record.id);
        Failure::Status(125, Some(anyhow!("the container's supervisor ended early; see {}/{LOG}", dir.display())))
    })?;
    match told.error {
        None => Ok(()),
        Some(why) => Err(Failure::Status(told.status, Some(anyhow!(why)))),
    }
}
