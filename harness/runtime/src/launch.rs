use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::OnceLock,
};

use oci_spec::runtime::{Process as ProcessSpec, Spec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::{
    Container, Error, Prepare, Process, Result,
    cgroup::{Cgroup, Placement},
    channel::{self, Failure, Message},
    exec::{self, Maps, Program, Surroundings},
    exec_into::{self, Origin},
    given,
    hooks::Hooks,
    keeper,
    plan::{File as PlanFile, Mapping, Plan, Terminal},
    stdio::{Stdio, Streams},
    translate::{self, Namespaces, c_string},
    wire::Blob,
};

/// A container to be started.
///
/// ```no_run
/// use harness_runtime::{Launch, Stdio, config::{ContainerConfig, spec}};
///
/// # fn main() -> harness_runtime::Result<()> {
/// harness_runtime::init_if_asked();
/// let config = ContainerConfig::new("/srv/rootfs", ["echo", "hello"]);
/// let container = Launch { stdio: Stdio::Output, ..Launch::new("one", spec(&config)?) }.start()?;
/// let output = container.output(1 << 20)?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Launch {
    /// Names the container's cgroup; letters, digits, `_`, `.` and `-`.
    pub id: String,
    /// What to run, and in what. `root.path` has to be absolute.
    pub spec: Spec,
    /// The standard streams. [`Stdio::Pty`] and the specification's `process.terminal` belong together.
    pub stdio: Stdio,
    /// Makes a reaper process 1 and the program its child, as docker's `--init`.
    pub init: bool,
    /// Files that the container shall see without their being in its root file system, such as `/etc/hosts`. Their place
    /// is created, empty, where it is missing.
    pub files: Vec<ContainerFile>,
    /// Whether the container gets a cgroup even if it has no limits, so that [`Container::stats`] has figures.
    pub accounting: bool,
    /// Whether the container is killed when this process dies, as it is by default. Else [`Container::detach`] lets it
    /// outlive this one.
    pub die_with_parent: bool,
    /// Whether the files of the root file system belong to the users of the container's own user namespace who have the
    /// numbers that they have on disk (an idmapped mount; overlayfs cannot do that). Else they belong to who the mapping says,
    /// and to nobody where it does not say.
    pub map_root: bool,
    /// What this process does for the container before its program runs; see [`Prepare`].
    pub prepare: Option<Prepare>,
}

/// A file of [`Launch::files`].
#[derive(Debug, Clone)]
pub struct ContainerFile {
    /// Absolute, in the container.
    pub path: PathBuf,
    /// What it holds at the start; the container may change its copy.
    pub content: Vec<u8>,
}

impl Launch {
    /// A container with this process's standard streams and nothing optional.
    #[must_use]
    pub fn new(id: impl Into<String>, spec: Spec) -> Self {
        Self {
            id: id.into(),
            spec,
            stdio: Stdio::Inherit,
            init: false,
            files: Vec::new(),
            accounting: false,
            die_with_parent: true,
            map_root: false,
            prepare: None,
        }
    }

    /// Starts the container; its program is being executed when this returns.
    ///
    /// It is killed when it is dropped, and when this process dies unless [`die_with_parent`](Self::die_with_parent) is
    /// unset. The new process is created by the calling thread if
    /// that is the main thread, else by one that is kept for it: a thread that has left the process's mount namespace or
    /// changed its root does not take its containers along.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Invalid`] for the specification, [`Error::Spawn`] and [`Error::Setup`] for
    /// what the kernel refuses, [`Error::Prepare`] for what [`Launch::prepare`] says, [`Error::Program`] if the program
    /// cannot be executed. Nothing is left then.
    pub fn start(self) -> Result<Container> {
        check_id(&self.id)?;
        translate::check(&self.spec)?;
        let namespaces = translate::namespaces(&self.spec)?;
        // Without a pid namespace of its own, its cgroup tells its processes from others'.
        let accounting = self.accounting || namespaces.shares_processes();
        let cgroup = Cgroup::create(&self.id, &self.spec, accounting)?;
        let mut plan = translate::plan(&self.spec, cgroup.as_ref())?;
        plan.terminal = terminal(&self.spec, &self.stdio)?;
        let users = translate::users::of_container(&self.spec)?;
        let given = given::mounts(&plan, users.as_ref(), self.map_root)?;
        let pipes = exec_into::has_pipes(&self.stdio);
        plan.own_stdio = pipes && users.is_none() && plan.process.uid != 0;
        plan.process.reaper = self.init;
        plan.die_with_parent = self.die_with_parent;
        plan.files = plan_files(&self.files)?;
        if users.is_some() && !namespaces.joined.is_empty() {
            return Err(Error::Unsupported {
                what: "joining namespaces by linux.namespaces.path from an own user namespace".to_owned(),
                remedy: "leave the paths out for new ones",
            });
        }
        let hooks = Hooks::of(&self.id, &self.spec)?;
        let streams = Streams::open(self.stdio)?;
        if let Some(users) = users.as_ref().filter(|_| pipes) {
            streams.give_to(users, plan.process.uid, plan.process.gid)?;
        }
        let entered = namespaces.joined.iter().map(open_namespace).collect::<Result<Vec<_>>>()?;
        let pid = namespaces.pid.iter().map(|path| open_namespace(&(path.clone(), libc::CLONE_NEWPID)));
        let pid = pid.collect::<Result<Vec<_>>>()?.pop();
        let entrance = Entrance { pid, entered, given, users, prepare: self.prepare, ..Entrance::default() };
        start(&self.id, plan, &namespaces, cgroup, hooks, streams, entrance)
    }
}

fn start(
    id: &str,
    plan: Plan,
    namespaces: &Namespaces,
    cgroup: Option<Cgroup>,
    hooks: Option<Hooks>,
    streams: Streams,
    entrance: Entrance<'_>,
) -> Result<Container> {
    let origin = Origin::new(&plan, namespaces, entrance.users.clone());
    let placement = cgroup.as_ref().map(Cgroup::placement).transpose()?.unwrap_or_default();
    let entrance = Entrance { hooks: hooks.as_ref(), ..entrance };
    let started = spawn(plan, namespaces.created, &placement, entrance, streams);
    if let (true, Ok(process), Some(cgroup)) = (namespaces.shares_processes(), &started, &cgroup) {
        // No end of a namespace takes the others along, and whoever reads their output waits for the last of them.
        let others = Cgroup::open(&cgroup.record());
        process.when_it_ends(move || others.kill())?;
    }
    let Some(hooks) = hooks else { return Ok(Container::new(id, started?, cgroup, origin, None)) };
    match started {
        Ok(process) => {
            let pid = process.pid();
            let poststart = hooks.poststart(pid);
            // Dropping it, if one has failed, ends it and runs the last hooks.
            let container = Container::new(id, process, cgroup, origin, Some(hooks));
            poststart.map(|()| container)
        }
        Err(error) => {
            drop(cgroup);
            hooks.poststop();
            Err(error)
        }
    }
}

/// What the init enters that is there already.
#[derive(Debug, Default)]
pub(crate) struct Entrance<'a> {
    /// The pid namespace that it is born in.
    pub(crate) pid: Option<OwnedFd>,
    /// Single namespaces.
    pub(crate) entered: Vec<OwnedFd>,
    /// Mounts that are made.
    pub(crate) given: Vec<OwnedFd>,
    /// The ids of a new user namespace.
    pub(crate) users: Option<Mapping>,
    /// The process whose namespaces a further program of a container is to join.
    pub(crate) joined: Option<BorrowedFd<'a>>,
    /// What is run on the way.
    pub(crate) hooks: Option<&'a Hooks>,
    /// What this process does first.
    pub(crate) prepare: Option<Prepare>,
}

/// Opens a namespace by its file, and refuses what is none or one of another kind.
fn open_namespace((path, flag): &(PathBuf, i32)) -> Result<OwnedFd> {
    let what = || format!("linux.namespaces: {}", path.display());
    let file = File::open(path).map_err(|error| Error::invalid(what(), error.to_string()))?;
    match exec::namespace_kind(file.as_fd()) {
        Ok(kind) if kind == *flag => Ok(file.into()),
        Ok(_) => Err(Error::invalid(what(), "it is a namespace of another kind")),
        Err(_) => Err(Error::invalid(what(), "it is no namespace")),
    }
}

/// Starts the init with its plan, and returns when the program is being executed.
pub(crate) fn spawn(
    mut plan: Plan,
    namespaces: i32,
    placement: &Placement,
    entrance: Entrance<'_>,
    streams: Streams,
) -> Result<Process> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(Error::io("make a socket"))?;
    plan.cgroups = u32::try_from(placement.tasks.len()).unwrap_or(0);
    plan.entered = u32::try_from(entrance.entered.len()).unwrap_or(0);
    plan.given = u32::try_from(entrance.given.len()).unwrap_or(0);
    let maps = entrance.users.as_ref().map(Maps::from);
    let spawned = {
        let Placement { tasks, directory } = placement;
        let mut descriptors: Vec<BorrowedFd<'_>> = streams.child().to_vec();
        descriptors.push(theirs.as_fd());
        descriptors.extend(tasks.iter().map(AsFd::as_fd));
        descriptors.extend(entrance.entered.iter().map(AsFd::as_fd));
        descriptors.extend(entrance.joined);
        descriptors.extend(entrance.given.iter().map(AsFd::as_fd));
        let directory = directory.as_ref().map(AsFd::as_fd);
        let surroundings = Surroundings {
            namespaces,
            pid: entrance.pid.as_ref().map(AsFd::as_fd),
            cgroup: directory,
            maps: maps.as_ref(),
        };
        keeper::spawn(program()?, &descriptors, &surroundings).map_err(|source| Error::Spawn { source })?
    };
    drop((theirs, entrance.given));
    // From here on its guard owns the process.
    let mut process = Process::new(spawned, streams);
    if let Some(prepare) = entrance.prepare {
        plan.files.extend(plan_files(&prepare.run(&process)?)?);
    }
    plan.hooks = entrance.hooks.map(|hooks| hooks.inside(process.pid()));
    let sent = channel::send_plan(ours.as_fd(), &plan);
    match hear(&ours, &mut process, entrance.hooks)? {
        Heard { failure: Some(failure), .. } => Err(error(failure)),
        Heard { ready: true, .. } => Ok(process),
        Heard { ready: false, .. } => {
            process.kill_and_wait();
            let step = match process.try_wait() {
                Ok(Some(exit)) => format!("the init process ended early ({exit})"),
                _ => "the init process ended early".to_owned(),
            };
            Err(Error::Setup { step, source: sent.err() })
        }
    }
}

fn plan_files(files: &[ContainerFile]) -> Result<Vec<PlanFile>> {
    let file = |file: &ContainerFile| {
        let path = c_string("files", file.path.as_os_str().as_encoded_bytes())?;
        Ok(PlanFile { path, content: Blob(file.content.clone()) })
    };
    files.iter().map(file).collect()
}

struct Heard {
    ready: bool,
    failure: Option<Failure>,
}

/// Listens until the init has executed the program or ended.
fn hear(socket: &OwnedFd, process: &mut Process, hooks: Option<&Hooks>) -> Result<Heard> {
    let mut heard = Heard { ready: false, failure: None };
    while let Some(message) = channel::receive(socket.as_fd()).map_err(Error::io("listen to the container's init"))? {
        match message {
            Message::Program(program) => process.set_program(program),
            Message::Terminal(terminal) => process.set_pty(File::from(terminal)),
            Message::Hooks => {
                hooks.map_or(Ok(()), |hooks| hooks.create_runtime(process.pid()))?;
                channel::answer_hooks(socket.as_fd()).map_err(Error::io("talk to the container's init"))?;
            }
            Message::Ready => heard.ready = true,
            Message::Failed(failure) => heard.failure = Some(failure),
        }
    }
    Ok(heard)
}

fn error(failure: Failure) -> Error {
    let source = (failure.errno != 0).then(|| std::io::Error::from_raw_os_error(failure.errno));
    let what = failure.what.to_string_lossy().into_owned();
    match failure.status {
        126 | 127 => Error::Program { status: failure.status, what, source },
        _ => Error::Setup { step: what, source },
    }
}

pub(crate) fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let starts_well = id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && id.len() <= 128 && id.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("id {id:?}"), "1 to 128 letters, digits, '_', '.' and '-', the first a letter or digit"))
}

pub(crate) fn terminal(spec: &Spec, stdio: &Stdio) -> Result<Option<Terminal>> {
    let wanted = spec.process().as_ref().and_then(ProcessSpec::terminal).unwrap_or(false);
    match (wanted, stdio) {
        (true, &Stdio::Pty { rows, cols }) => Ok(Some(Terminal { rows: rows.into(), columns: cols.into() })),
        (true, _) => Err(Error::invalid("process.terminal", "it needs a terminal as the standard streams")),
        (false, Stdio::Pty { .. }) => Err(Error::invalid("process.terminal", "it is unset, but a terminal was given")),
        (false, _) => Ok(None),
    }
}

/// This program, as the init executes it.
fn program() -> Result<&'static Program> {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    if let Some(program) = PROGRAM.get() {
        return Ok(program);
    }
    let opened = exec::open_own_program().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::io("open /proc/self/exe (is /proc mounted?)")(source),
        _ => Error::Spawn { source },
    })?;
    Ok(PROGRAM.get_or_init(|| opened))
}
