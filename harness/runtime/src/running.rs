use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Spec;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde::{Deserialize, Serialize};

use crate::{
    ContainerProcess, Error, Exec, Process, Result, Stats,
    cgroup::{Cgroup, CgroupRecord},
    exec,
    exec_into::{self, Origin},
    external::Outside,
    launch::{self, Entrance},
    proc::{self, Stat},
    processes,
    stdio::Streams,
};

/// Where a running container is found, for other processes and to be kept on disk; see
/// [`Container::record`](crate::Container::record).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRecord {
    /// The container's id.
    pub id: String,
    /// Its process 1, by its id on the host.
    pub pid: u32,
    /// When that was started: clock ticks since the machine was (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
    /// The run of the machine, `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    cgroup: Option<CgroupRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outside: Option<Outside>,
}

impl RunningRecord {
    pub(crate) fn of(id: &str, pid: u32, cgroup: Option<&Cgroup>, outside: Option<&Outside>) -> Result<Self> {
        let failed = || Error::io(format!("look the container {id} up"));
        let stat = Stat::read(pid).map_err(failed())?.ok_or_else(|| Errno::SRCH.into()).map_err(failed())?;
        let boot_id = proc::boot_id().map_err(failed())?;
        Ok(Self {
            id: id.to_owned(),
            pid,
            start_time: stat.start_ticks,
            boot_id,
            cgroup: cgroup.map(Cgroup::record),
            outside: outside.cloned(),
        })
    }
}

/// A running container that any process may have started.
///
/// It can do what [`Container`](crate::Container) can but for the streams and the exit status, which are its starter's.
/// Dropping it leaves the container alone.
#[derive(Debug)]
pub struct Running {
    id: String,
    pid: u32,
    pidfd: OwnedFd,
    cgroup: Option<Cgroup>,
    origin: Origin,
    outside: Option<Outside>,
}

impl Running {
    /// Finds the container of `record`, which was started with `spec`; `None` if it has ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unsupported`] for a specification that is not the one it was started with, and
    /// what the kernel refuses.
    pub fn open(record: &RunningRecord, spec: &Spec) -> Result<Option<Self>> {
        let failed = || Error::io(format!("look the container {} up", record.id));
        if proc::boot_id().map_err(failed())? != record.boot_id {
            return Ok(None);
        }
        let Some(pid) = i32::try_from(record.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            // EINVAL: the id is a thread's now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            other => other.map_err(Into::into).map_err(failed())?,
        };
        // Looked at after the descriptor was opened: if the id is still the container's, so is the descriptor.
        match Stat::read(record.pid).map_err(failed())? {
            Some(stat) if stat.start_ticks == record.start_time && !stat.has_ended() => {}
            _ => return Ok(None),
        }
        let cgroup = record.cgroup.as_ref().map(Cgroup::open);
        Ok(Some(Self {
            id: record.id.clone(),
            pid: record.pid,
            pidfd,
            cgroup,
            origin: Origin::of(spec)?,
            outside: record.outside.clone(),
        }))
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of its process 1 on the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends the signal with this number to its process 1. One that has ended gets none, and that is no error. SIGKILL
    /// ends a paused container too.
    ///
    /// # Errors
    /// An unknown number.
    pub fn signal(&self, signal: i32) -> Result<()> {
        match exec::pidfd_signal(self.pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other.map_err(Error::io(format!("send signal {signal} to a container"))),
        }?;
        if signal == libc::SIGKILL
            && let Some(cgroup) = &self.cgroup
        {
            cgroup.thaw_for_the_end();
        }
        Ok(())
    }

    /// As [`Container::exec`](crate::Container::exec).
    ///
    /// # Errors
    /// As there.
    pub fn exec(&self, exec: Exec) -> Result<Process> {
        self.subject().exec(exec)
    }

    /// As [`Container::stats`](crate::Container::stats).
    ///
    /// # Errors
    /// As there.
    pub fn stats(&self) -> Result<Option<Stats>> {
        self.subject().stats()
    }

    /// Gives it the limits of `spec`, while it runs; what that does not limit stays as it is.
    ///
    /// # Errors
    /// [`Error::Limit`] for one that it cannot have any more, or the kernel does not take: then some may be set.
    pub fn set_limits(&self, spec: &Spec) -> Result<()> {
        match &self.cgroup {
            Some(cgroup) => cgroup.set_limits(spec),
            None => {
                let why = "it has no cgroup; stop the container, set the limit, and start it again".to_owned();
                Err(Error::Limit { what: "a container that runs", why })
            }
        }
    }

    /// As [`Container::processes`](crate::Container::processes).
    ///
    /// # Errors
    /// As there.
    pub fn processes(&self) -> Result<Vec<ContainerProcess>> {
        self.subject().processes()
    }

    /// As [`Container::pause`](crate::Container::pause).
    ///
    /// # Errors
    /// As there.
    pub fn pause(&self) -> Result<()> {
        self.subject().freeze(true)
    }

    /// As [`Container::resume`](crate::Container::resume).
    ///
    /// # Errors
    /// As there.
    pub fn resume(&self) -> Result<()> {
        self.subject().freeze(false)
    }

    /// As [`Container::is_paused`](crate::Container::is_paused).
    ///
    /// # Errors
    /// As there.
    pub fn is_paused(&self) -> Result<bool> {
        self.subject().is_paused()
    }

    fn subject(&self) -> Subject<'_> {
        let Self { id, pid, pidfd, cgroup, origin, outside } = self;
        Subject { id, pid: *pid, pidfd: pidfd.as_fd(), cgroup: cgroup.as_ref(), origin, outside: outside.as_ref() }
    }
}

impl AsFd for Running {
    /// A descriptor that is readable when the container has ended (pidfd_open(2)).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// A running container, whoever has started it.
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) pid: u32,
    pub(crate) pidfd: BorrowedFd<'a>,
    pub(crate) cgroup: Option<&'a Cgroup>,
    pub(crate) origin: &'a Origin,
    /// Who else has made it.
    pub(crate) outside: Option<&'a Outside>,
}

impl Subject<'_> {
    pub(crate) fn exec(&self, exec: Exec) -> Result<Process> {
        let plan = self.origin.plan(&exec)?;
        // Whatever joins a stopped cgroup stops too.
        if self.is_paused()? {
            return Err(Error::Paused { id: self.id.to_owned() });
        }
        if let Some(outside) = self.outside {
            return outside.exec(exec);
        }
        let placement = self.cgroup.map(Cgroup::placement).transpose()?.unwrap_or_default();
        let entrance = Entrance { joined: Some(self.pidfd), ..Entrance::default() };
        let has_pipes = exec_into::has_pipes(&exec.stdio);
        let streams = Streams::open(exec.stdio)?;
        self.origin.own_stdio(&streams, &plan, has_pipes)?;
        launch::spawn(plan, 0, &placement, entrance, streams)
    }

    pub(crate) fn stats(&self) -> Result<Option<Stats>> {
        self.cgroup.map(Cgroup::stats).transpose()
    }

    pub(crate) fn processes(&self) -> Result<Vec<ContainerProcess>> {
        match self.cgroup {
            // Others are in its pid namespace as well.
            Some(cgroup) if self.origin.shares_processes => Ok(processes::these(&cgroup.processes()?)),
            _ => processes::in_namespace_of(self.pid),
        }
    }

    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        match self.cgroup {
            Some(cgroup) => cgroup.freeze(frozen),
            None => Err(Error::Freeze { why: "it has no cgroup; start it with accounting".to_owned() }),
        }
    }

    pub(crate) fn is_paused(&self) -> Result<bool> {
        self.cgroup.map_or(Ok(false), Cgroup::is_frozen)
    }
}
