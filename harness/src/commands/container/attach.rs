use std::{
    io::{self, IsTerminal, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context;
use clap::{ArgAction, Args};
use harness_container::{Attached, Client, Input, Meant, Raw, Record, Request};
use harness_runtime::{Stream, terminal_size};
use signal_hook::{consts, iterator::Signals};

use super::{
    detach_keys::{DetachKeys, Watch},
    run::ended,
    wait::wait,
};
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
    #[command(flatten)]
    manners: Manners,
    /// The container, by name or id
    container: String,
}

/// How to be in front of a container.
#[derive(Debug, Clone, Args)]
pub struct Manners {
    /// Keys that leave the container's terminal and not end it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// Whether signals for this command are the container's; else they end this command alone
    #[arg(
        long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    pub sig_proxy: bool,
}

pub fn run(args: &AttachArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    let stdin = record.configuration.open_stdin && !args.no_stdin;
    let attached = site.supervisor(&record)?.attach(stdin).map_err(|error| Failure::Failed(error.into()))?;
    follow(&site, &record, attached, Meant::output_and(stdin), &args.manners)
}

/// Passes a container's streams until its end, or until the user leaves; its status is this command's.
pub fn follow(site: &Site, record: &Record, attached: Attached, meant: Meant, manners: &Manners) -> Result {
    let (tty, stdin) = (record.configuration.tty, meant.stdin);
    let raw = if tty && stdin { Raw::enter()? } else { None };
    let left = Arc::new(AtomicBool::new(false));
    if stdin {
        let (input, left) = (attached.input()?, left.clone());
        let watch = raw.is_some().then(|| Watch::new(manners.detach_keys.clone()));
        // Reading the user's input cannot be interrupted; the thread ends with the program.
        thread::spawn(move || pass_input(input, watch, &left));
    }
    pass_signals(site, &record.id, tty && io::stdout().is_terminal(), manners.sig_proxy)?;
    let passed = attached.output(&mut |stream, bytes| match stream {
        stream if !meant.takes(stream) => Ok(()),
        Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(bytes),
    });
    drop(raw);
    // Who leaves in the middle of what is written has not lost anything.
    if left.load(Ordering::Acquire) {
        return Ok(());
    }
    match passed? {
        Some(status) => ended(status),
        // Its supervisor did not live to say it.
        None => ended(wait(site, &record.id).map_err(|error| Failure::Failed(error.into()))?),
    }
}

/// Passes the user's input on until its end, or until the user leaves.
fn pass_input(mut input: Input, mut watch: Option<Watch>, left: &AtomicBool) -> io::Result<()> {
    let mut typed = io::stdin().lock();
    let Some(watch) = &mut watch else { return io::copy(&mut typed, &mut input).map(drop) };
    let mut buffer = [0; 4096];
    loop {
        let length = match typed.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let (passed, leaves) = watch.pass(&buffer[..length]);
        input.write_all(&passed)?;
        if leaves {
            left.store(true, Ordering::Release);
            return input.leave();
        }
    }
}

/// Signals for this program, and the size of its terminal, are the container's.
fn pass_signals(site: &Site, id: &str, sized: bool, proxied: bool) -> Result {
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
    let taken = taken.into_iter().filter(|_| proxied);
    let mut signals = Signals::new(taken.chain([consts::SIGWINCH])).context("cannot handle signals")?;
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
