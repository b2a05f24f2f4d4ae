//! Who looks after one container: mounts its layer, runs it, keeps its state and its log, answers on its socket.

mod probe;
mod server;
mod shared;

use std::{fmt, path::Path, sync::Arc, thread, time::Instant};

use harness_runtime::{Container, ExternalRuntime};
use signal_hook::{consts::SIGTERM, iterator::Signals};
use storage_driver::{HeldMount, MountMode, StorageDriver};

use self::{server::Server, shared::Shared};
use crate::{
    Configuration, Containers, Error, Front, Held, Ipc, Record, Resources, Result, Volumes,
    front::FORWARDED,
    launch,
    network::Connection,
    restart::Backoff,
    shm::SharedMemory,
    streams::{Ends, Streams},
};

/// What a supervisor needs of the program around it.
pub trait Host: Sync {
    /// Opens the driver of a container's layer; waits for those who have its root.
    ///
    /// # Errors
    /// [`Error::Host`] or [`Error::Driver`].
    fn open(&self, record: &Record) -> Result<Arc<dyn StorageDriver>>;
}

/// Looks after one container from its start to its end.
pub struct Supervisor<'a> {
    /// Where its directory is.
    pub containers: &'a Containers,
    /// Where its volumes are.
    pub volumes: &'a Volumes,
    /// Where the bridge is kept.
    pub networks: &'a Path,
    /// The program around this.
    pub host: &'a dyn Host,
    /// The container.
    pub record: Record,
    /// The right to look after it.
    pub held: Held,
    /// Who is in front of it.
    pub front: Front,
}

impl fmt::Debug for Supervisor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, front, .. } = self;
        f.debug_struct("Supervisor").field("container", &record.id).field("front", front).finish_non_exhaustive()
    }
}

impl Supervisor<'_> {
    /// Checks what can be checked of a configuration without starting it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(configuration: &Configuration) -> Result<()> {
        launch::check(configuration)
    }

    /// Starts the container, waits for its end, starts it again as its policy says, and keeps how it ended; one that is to
    /// vanish with its end does. Returns the last status, as a shell sees it.
    ///
    /// `started` is called when its program is being executed for the first time. With nobody in front, SIGTERM stops the
    /// container; else signals are its own.
    ///
    /// # Errors
    /// Why it could not be started; its state says so, too. What could not be done after its end.
    pub fn run(self, started: &mut dyn FnMut()) -> Result<i32> {
        let Self { containers, volumes, networks, host, record, held, front } = self;
        let signals_are_its_own = matches!(front, Front::Own(_));
        let streams = Arc::new(Streams::open(held.dir(), &record.configuration, front)?);
        let state = containers.state(&record.id)?.0;
        let shared = Arc::new(Shared::new(held, &record, state));
        let server = Server::start(&shared, &streams, containers.dir(&record.id))?;
        forward_signals(&shared, signals_are_its_own)?;
        let network = Connection::new(networks, &record);
        let life = Life { containers, volumes, network, host, record: &record, shared: &shared, streams: &streams };
        let lived = life.live(started);
        // Whoever asks from now on reads what is on disk.
        server.stop();
        let finished = shared.finish(lived.as_ref().err()).and_then(|held| match record.auto_remove {
            true => remove(containers, Some(volumes), host, &record, held),
            false => Ok(()),
        });
        // Its name is free by the time that they hear of its end.
        streams.let_go(lived.as_ref().ok().copied());
        finished?;
        lived
    }
}

/// Takes a container away that has ended: its layer, its directory, and those of `volumes` that were made for it without a name.
///
/// # Errors
/// What the driver and the file system say.
pub fn remove(
    containers: &Containers,
    volumes: Option<&Volumes>,
    host: &dyn Host,
    record: &Record,
    held: Held,
) -> Result<()> {
    match host.open(record)?.remove(&record.layer) {
        Ok(()) | Err(storage_driver::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    containers.remove(record, held)?;
    let Some(volumes) = volumes else { return Ok(()) };
    for name in record.configuration.own_volumes() {
        if volumes.find(name).is_ok_and(|volume| volume.anonymous) && !is_mounted_in_another(containers, name)? {
            volumes.remove(name)?;
        }
    }
    Ok(())
}

/// Whether a container has the volume from the one that it was made for (`--volumes-from`).
fn is_mounted_in_another(containers: &Containers, volume: &str) -> Result<bool> {
    let mounts = |record: &Record| record.configuration.volumes().any(|name| name == volume);
    Ok(containers.list()?.iter().any(|(record, _)| mounts(record)))
}

fn forward_signals(shared: &Arc<Shared>, are_its_own: bool) -> Result<()> {
    let taken: &[i32] = if are_its_own { &FORWARDED } else { &[SIGTERM] };
    let mut signals = Signals::new(taken).map_err(Error::io("watch", "signals"))?;
    let shared = shared.clone();
    thread::spawn(move || {
        for signal in &mut signals {
            // The container may have ended meanwhile.
            let _ = if are_its_own { shared.signal(signal) } else { shared.stop(None, None).map(|_| ()) };
        }
    });
    Ok(())
}

/// One container's life.
struct Life<'a> {
    containers: &'a Containers,
    network: Connection,
    volumes: &'a Volumes,
    host: &'a dyn Host,
    record: &'a Record,
    shared: &'a Arc<Shared>,
    streams: &'a Arc<Streams>,
}

impl Life<'_> {
    fn live(&self, started: &mut dyn FnMut()) -> Result<i32> {
        let mounted = self.mount()?;
        let lived = self.runs(mounted.path(), started);
        let closed = mounted.close();
        let status = lived?;
        closed?;
        Ok(status)
    }

    /// The driver is closed again after this: its root is others' while the container runs.
    fn mount(&self) -> Result<HeldMount> {
        let driver = self.host.open(self.record)?;
        let mounted = driver.mount(&self.record.layer, MountMode::ReadWrite)?;
        Ok(driver.hold(mounted)?)
    }

    fn runs(&self, rootfs: &Path, started: &mut dyn FnMut()) -> Result<i32> {
        let Configuration { ipc, shm_size, .. } = &self.record.configuration;
        let dir = self.containers.dir(&self.record.id);
        let shareable = *ipc == Ipc::Shareable;
        let _memory = shareable.then(|| SharedMemory::mount(&dir, *shm_size)).transpose()?;
        let mut record = self.record.clone();
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let ran = self.run_once(&record, rootfs, started);
            // Of one that could not be started, too.
            let ended = self.network.end();
            let status = ran?;
            ended?;
            if record.auto_remove {
                return Ok(status);
            }
            // It may have been updated meanwhile.
            record = self.containers.find(&record.id)?;
            let policy = record.configuration.restart;
            if !policy.restarts(status, self.shared.restarts()) || !self.shared.restarting()? {
                return Ok(status);
            }
            if self.shared.is_stopped_within(backoff.next(began.elapsed())) {
                return Ok(status);
            }
        }
    }

    /// From the start of its program to the end of all its processes.
    fn run_once(&self, record: &Record, rootfs: &Path, started: &mut dyn FnMut()) -> Result<i32> {
        let (container, ends) = self.start(record, rootfs)?;
        let container = Arc::new(container);
        self.shared.running(&container, self.network.attachment())?;
        started();
        let probing = probe::start(self.shared, &container, record.configuration.health.as_ref());
        let pumped = self.streams.pump(ends);
        let exit = container.wait()?;
        let stats = container.stats();
        let kills = stats.ok().flatten().and_then(|stats| stats.oom_kills);
        // Before anybody hears of its end: who stopped it may look for its address and its ports.
        let detached = self.network.end();
        self.shared.ended(exit.status(), kills.is_some_and(|kills| kills > 0));
        if let Some(probing) = probing {
            // It ends with the container.
            let _ = probing.join();
        }
        if let Some(container) = Arc::into_inner(container) {
            container.close()?;
        }
        pumped.map_err(Error::io("pass on the output of", &self.record.name))?;
        detached?;
        Ok(exit.status())
    }

    fn start(&self, record: &Record, rootfs: &Path) -> Result<(Container, Ends)> {
        let configuration = &record.configuration;
        // In the foreground only for limits, and for who manages cgroups: one takes as long as all the rest.
        let accounting = !matches!(self.streams.front(), Front::Own(_)) || configuration.privileged;
        let launch = |accounting: bool| -> Result<Container> {
            let stdio = self.streams.stdio(configuration).map_err(Error::io("open", "/dev/null"))?;
            let mut launch = launch::launch(self.containers, record, rootfs, self.volumes, stdio, accounting)?;
            self.network.prepare(self.containers, record, &mut launch)?;
            self.shared.write_spec(&launch.spec)?;
            Ok(match &configuration.oci_runtime {
                Some(program) => ExternalRuntime::new(program)?.start(launch)?,
                None => launch.start()?,
            })
        };
        let mut container = match launch(accounting) {
            // Without the right to make cgroups it runs all the same; it has no figures then.
            Err(Error::Runtime(harness_runtime::Error::Limit { .. }))
                if accounting && configuration.resources == Resources::default() =>
            {
                launch(false)?
            }
            other => other?,
        };
        let ends = Streams::take(&mut container);
        Ok((container, ends))
    }
}
