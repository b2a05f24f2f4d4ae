//! The network of commands, and what they have of it one after the other.

use std::{
    mem::take,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    panic,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use harness_network::{Bridge, Namespace};
use harness_runtime::config::Network;

use super::{BuildRequest, config::State, step::Step};
use crate::{
    Error, Observer, Result,
    dockerfile::{Instruction, Kind},
};

/// What the bridge calls the places of builds; containers have other names.
const PREFIX: &str = "build-";

/// Which network RUN sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BuildNetwork {
    /// Loopback only.
    #[default]
    None,
    /// A place on the bridge; loopback only where that cannot be had, which is said.
    Sandbox,
    /// A place on the bridge, and nothing else.
    Bridge,
    /// The machine's own.
    Host,
}

/// Whether this is what the bridge calls a build's place, which is given back when the build ends, and goes with its network
/// namespace if it is killed.
#[must_use]
pub fn is_network_of_a_build(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// The network of an instruction.
pub fn of(request: &BuildRequest, state: &State, step: Step<'_>) -> Result<BuildNetwork> {
    match step.option("network", state)?.as_deref() {
        None | Some("default") => Ok(request.network),
        Some("none") => Ok(BuildNetwork::None),
        Some("host") if request.network == BuildNetwork::Host || request.allow.host_network => Ok(BuildNetwork::Host),
        Some("host") => {
            let why = "--network=host is only allowed when the build is started with --allow network.host";
            Err(step.wrong(step.place_of("network"), why))
        }
        Some(other) => {
            let why = format!("--network is default, none or host, not {other:?}");
            Err(step.wrong(step.place_of("network"), why))
        }
    }
}

/// Whether an instruction runs a command that has a place on the bridge, as far as can be seen without variables.
pub fn wants(instruction: &Instruction) -> bool {
    let network = instruction.flag("network").and_then(|flag| flag.value.as_ref());
    matches!(instruction.kind, Kind::Run(_)) && network.is_none_or(|network| network.text == "default")
}

/// How many of them do.
pub fn wanted<'a>(instructions: impl Iterator<Item = &'a Instruction>) -> usize {
    instructions.filter(|instruction| wants(instruction)).count()
}

/// What a command has.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A loopback interface.
    Alone,
    /// The machine's network.
    Host,
    /// A place on the bridge.
    Bridge(Attached),
}

impl Place {
    pub fn network(&self) -> Network {
        match self {
            Self::Alone => Network::None,
            Self::Host => Network::Host,
            Self::Bridge(attached) => Network::Joined(attached.namespace.path()),
        }
    }

    /// By which address the machine is reached from there (`host-gateway`).
    pub fn gateway(&self) -> Option<IpAddr> {
        match self {
            Self::Alone => None,
            Self::Host => Some(Ipv4Addr::LOCALHOST.into()),
            Self::Bridge(attached) => Some(attached.gateway.into()),
        }
    }
}

/// A network namespace on the bridge, in which one command is at a time.
#[derive(Debug)]
pub struct Attached {
    id: String,
    namespace: Namespace,
    /// The machine's address there.
    gateway: Ipv4Addr,
    /// Whether there is a way out.
    outside: bool,
}

impl PartialEq for Attached {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Attached {}

/// The places of one build. As with BuildKit a command takes over what an earlier one has left.
///
/// Both making a place and giving it back are waiting, for the kernel's read-copy-update most of all: longer than a
/// container takes to start. So the first one is made as soon as it is known that the build is not all in the cache, and
/// what there is goes as soon as the last command has ended.
#[derive(Debug)]
pub struct Networks {
    /// Of the bridge.
    dir: Option<PathBuf>,
    /// RUN instructions that have not ended yet.
    remaining: AtomicUsize,
    state: Mutex<Known>,
}

type Coming = JoinHandle<harness_network::Result<Attached>>;

#[derive(Debug, Default)]
struct Known {
    /// The first place, which is being made.
    coming: Option<Coming>,
    free: Vec<Attached>,
    /// Those that are on the bridge, also while commands have them.
    ids: Vec<String>,
    /// There is none to be had.
    refused: bool,
    /// It was said that there is no way out of the bridge.
    said: bool,
    going: Option<JoinHandle<harness_network::Result<()>>>,
}

impl Networks {
    /// None is made without a directory for the bridge.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, remaining: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// So many RUN instructions come.
    pub fn expect(&self, commands: usize) {
        self.remaining.fetch_add(commands, Ordering::Relaxed);
    }

    /// Something is built, so that a command will need a place.
    pub fn begin(&self, network: BuildNetwork) {
        let wanted = matches!(network, BuildNetwork::Sandbox | BuildNetwork::Bridge);
        let Some(dir) = self.dir.as_ref().filter(|_| wanted && self.remaining.load(Ordering::Relaxed) > 0) else {
            return;
        };
        let mut known = self.known();
        if known.coming.is_none() && known.ids.is_empty() && !known.refused {
            let dir = dir.clone();
            known.coming = Some(thread::spawn(move || attach(&dir)));
        }
    }

    /// A RUN instruction has ended, or was in the cache.
    pub fn end_one(&self) {
        if self.remaining.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.begin_to_give_back();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one command.
    pub fn take(&self, network: BuildNetwork, observer: &mut dyn Observer) -> Result<Place> {
        match network {
            BuildNetwork::None => return Ok(Place::Alone),
            BuildNetwork::Host => return Ok(Place::Host),
            BuildNetwork::Sandbox | BuildNetwork::Bridge => {}
        }
        let Some(dir) = &self.dir else { return Ok(Place::Alone) };
        // Held while a place is made: of two commands only one tells what cannot be had.
        let mut known = self.known();
        if let Some(attached) = known.free.pop() {
            return Ok(Place::Bridge(attached));
        }
        if known.refused && network == BuildNetwork::Sandbox {
            return Ok(Place::Alone);
        }
        match known.coming.take().map_or_else(|| attach(dir), joined) {
            Ok(attached) => Ok(Place::Bridge(known.take(attached, observer))),
            Err(error) if network == BuildNetwork::Sandbox => {
                observer.warning(&format!("RUN has loopback alone: {error}"));
                known.refused = true;
                Ok(Place::Alone)
            }
            Err(error) => Err(Error::Network(error)),
        }
    }

    /// The command has ended; whether others may follow it there.
    pub fn put_back(&self, place: Place, is_as_it_was: bool) {
        if let Place::Bridge(attached) = place
            && is_as_it_was
        {
            self.known().free.push(attached);
        }
    }

    fn begin_to_give_back(&self) {
        let mut known = self.known();
        let Some(dir) = self.dir.clone().filter(|_| !known.ids.is_empty() || known.coming.is_some()) else { return };
        let (coming, free, ids) = (known.coming.take(), take(&mut known.free), take(&mut known.ids));
        let before = known.going.take();
        known.going = Some(thread::spawn(move || {
            let made = coming.map(joined).transpose().ok().flatten();
            let bridge = Bridge::open(&dir)?;
            ids.iter().chain(made.iter().map(|made| &made.id)).try_for_each(|id| bridge.detach(id))?;
            // The namespaces live until the bridge has let go of them: their end would be waited for, too.
            drop((free, made));
            before.map_or(Ok(()), joined)
        }));
    }

    /// Gives all places back while `work` is done.
    pub fn give_back_during<T>(&self, observer: &mut dyn Observer, work: impl FnOnce() -> T) -> T {
        self.begin_to_give_back();
        let done = work();
        if let Err(error) = self.wait() {
            observer.warning(&format!("a place on the bridge is not given back (harness gc does that): {error}"));
        }
        done
    }

    fn wait(&self) -> harness_network::Result<()> {
        let going = self.known().going.take();
        going.map_or(Ok(()), joined)
    }
}

impl Known {
    fn take(&mut self, attached: Attached, observer: &mut dyn Observer) -> Attached {
        self.ids.push(attached.id.clone());
        if !attached.outside && !self.said {
            observer.warning("RUN reaches this machine only: this kernel has no nftables (CONFIG_NF_TABLES)");
            self.said = true;
        }
        attached
    }
}

fn attach(dir: &Path) -> harness_network::Result<Attached> {
    let bridge = Bridge::open(dir)?;
    let namespace = Namespace::new()?;
    let id = format!("{PREFIX}{}", namespace.number()?);
    let given = bridge.attach(&id, namespace.as_fd(), &[], None)?;
    Ok(Attached { id, namespace, gateway: given.gateway, outside: given.outside })
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

impl Drop for Networks {
    /// Only what a panic has left.
    fn drop(&mut self) {
        self.begin_to_give_back();
        if let Err(error) = self.wait() {
            tracing::warn!(%error, "a place on the bridge is not given back; harness gc does that");
        }
    }
}
