use std::{
    io::{self, IsTerminal, Write},
    thread,
};

use anyhow::Context;
use clap::Args;
use harness_container::{Client, Raw, Request};
use harness_runtime::{Stream, terminal_size};
use signal_hook::{consts, iterator::Signals};

use super::{run::ended, wait::wait};
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Connect to a container that runs in the background: its streams, its signals, its exit status
#[derive(Debug, Args)]
pub struct AttachArgs {
    #[command(flatten)]
    pub common: Common,
    /// Leave standard input alone
    #[arg(long)]
    no_stdin: bool,
    /// The container, by name or id
    container: String,
}

pub fn run(args: &AttachArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    let (tty, stdin) = (record.configuration.tty, record.configuration.open_stdin && !args.no_stdin);
    let attached = site.supervisor(&record)?.attach(stdin).map_err(|error| Failure::Failed(error.into()))?;
    let raw = if tty && stdin { Raw::enter()? } else { None };
    if stdin {
        let mut input = attached.input()?;
        // Reading the user's input cannot be interrupted; the thread ends with the program.
        thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut input));
    }
    pass_signals(&site, &record.id, tty && io::stdout().is_terminal())?;
    let passed = attached.output(&mut |stream, bytes| match stream {
        Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(bytes),
    });
    drop(raw);
    passed?;
    ended(wait(&site, &record.id).map_err(|error| Failure::Failed(error.into()))?)
}

/// Signals for this program, and the size of its terminal, are the container's.
fn pass_signals(site: &Site, id: &str, sized: bool) -> Result {
    let (containers, id) = (site.containers.clone(), id.to_owned());
    let ask = move |request: &Request| {
        // The container may have ended meanwhile.
        let _ = Client::connect(&containers, &id).map(|client| client.map(|client| client.ask(request)));
    };
    let resize = move |ask: &dyn Fn(&Request)| {
        if let Some((rows, cols)) = terminal_size(io::stdout()).filter(|_| sized) {
            ask(&Request::Resize { rows, cols });
        }
    };
    resize(&ask);
    let taken = [consts::SIGINT, consts::SIGTERM, consts::SIGHUP, consts::SIGQUIT, consts::SIGUSR1, consts::SIGUSR2];
    let mut signals = Signals::new(taken.into_iter().chain([consts::SIGWINCH])).context("cannot handle signals")?;
    thread::spawn(move || {
        for signal in &mut signals {
            match signal {
                consts::SIGWINCH => resize(&ask),
                signal => ask(&Request::Signal { signal }),
            }
        }
    });
    Ok(())
}
