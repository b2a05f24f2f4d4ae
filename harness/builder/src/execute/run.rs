//! RUN: a container on the layer that is being made.

mod points;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use harness_runtime::{
    Launch, Stdio,
    config::{Bind, ContainerConfig, spec},
};
use storage_layer::Digest;

use self::points::MountPoints;
use super::{
    Build, BuildNetwork,
    config::State,
    hosts,
    mounts::{Laid, Mounts},
    network::{self, Place},
    step::Step,
};
use crate::{
    Error, Observer, Result, Stream, builtin,
    dockerfile::{CommandForm, CommandLine},
};

/// Of a failed command's output this much is kept for the error.
const KEPT: usize = 4096;

/// How often the wish to stop is looked at while a command runs.
const PATIENCE: Duration = Duration::from_millis(50);

/// A RUN with everything it needs.
pub struct Prepared {
    /// The step's number.
    index: usize,
    words: Vec<String>,
    /// A heredoc with an interpreter of its own: where it is executed, and what it is.
    script: Option<(String, String)>,
    network: BuildNetwork,
    /// Without a sandbox.
    insecure: bool,
    mounts: Mounts,
}

/// What a command finds beside the layer.
struct Around<'a> {
    laid: &'a Laid,
    place: &'a Place,
}

impl Prepared {
    pub fn new(
        build: &Build<'_>,
        (stage, index): (usize, usize),
        state: &State,
        step: Step<'_>,
        command: &CommandLine,
    ) -> Result<Self> {
        if let Some(flag) = step.instruction.flag("device") {
            let why = "--device asks for a device by its CDI name, and a build is given none here; \
                       --security=insecure, where who builds allows it, has all of this machine's";
            return Err(step.wrong(flag.span, why));
        }
        let insecure = match step.option("security", state)?.as_deref() {
            None | Some("sandbox") => false,
            Some("insecure") if build.request.allow.insecure => true,
            Some("insecure") => {
                let why =
                    "--security=insecure is only allowed when the build is started with --allow security.insecure";
                return Err(step.wrong(step.place_of("security"), why));
            }
            Some(other) => {
                let why = format!("--security is sandbox or insecure, not {other:?}");
                return Err(step.wrong(step.place_of("security"), why));
            }
        };
        let network = network::of(build.request, state, step)?;
        let (words, script) = words(state, step, command);
        Ok(Self { index, words, script, network, insecure, mounts: Mounts::read(build, stage, state, step)? })
    }

    pub fn key(&self, build: &Build<'_>, state: &State, step: Step<'_>) -> Result<Digest> {
        let mut key = state.key("RUN");
        key.add_list(&self.words);
        key.add(self.script.as_ref().map_or("", |(_, script)| script).as_bytes());
        key.add_list(&state.declared_env());
        key.add(state.workdir.as_bytes());
        key.add(state.user.as_deref().unwrap_or_default().as_bytes());
        self.mounts.add_to(build, step, &mut key)?;
        // What is as usual adds nothing.
        if self.insecure {
            key.add(b"insecure");
        }
        if let Some(name) = build.request.build_args.get(builtin::HOSTNAME) {
            key.add(name.as_bytes());
        }
        // As with BuildKit, whose key has the kind of network.
        match self.network {
            BuildNetwork::None => key.add(b"network none"),
            BuildNetwork::Host => key.add(b"network host"),
            BuildNetwork::Sandbox | BuildNetwork::Bridge => {}
        }
        build.request.limits.add_to(&mut key);
        for host in &build.request.hosts {
            let address = host.address.map_or_else(|| "host-gateway".to_owned(), |address| address.to_string());
            key.add(format!("{} {address}", host.name).as_bytes());
        }
        Ok(key.finish())
    }

    pub fn run(
        &self,
        build: &Build<'_>,
        state: &State,
        step: Step<'_>,
        root: &Path,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let laid = self.mounts.lay(build, step)?;
        let place = build.networks.take(self.network, observer)?;
        let ran = self.at_mount_points(build, state, root, &Around { laid: &laid, place: &place }, observer);
        // One that was allowed to change its network is not followed by others there.
        build.networks.put_back(place, !self.insecure);
        let undone = laid.finish(build);
        let (status, output) = ran?;
        undone?;
        if status == 0 {
            return Ok(());
        }
        build.stopped()?;
        Err(Error::Run { place: step.place(), instruction: step.instruction.text.clone(), status, output })
    }

    fn at_mount_points(
        &self,
        build: &Build<'_>,
        state: &State,
        root: &Path,
        around: &Around<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(i32, String)> {
        let Around { laid, place } = around;
        let dir = tempfile::tempdir().map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        let files = hosts::lay(&hosts::files(build.request, place)?, dir.path(), root, &laid.binds)?;
        let mut targets: Vec<_> = ["/proc", "/sys", "/dev"].map(|path| (Path::new(path), true)).into();
        targets.extend(laid.tmpfs.iter().map(|tmpfs| (tmpfs.target.as_path(), true)));
        targets.extend(laid.binds.iter().map(|bind| (bind.target.as_path(), bind.source.is_dir())));
        targets.extend(files.iter().map(|file| (file.target.as_path(), false)));
        let points = MountPoints::make(root, &targets)?;
        let mut binds = laid.binds.clone();
        binds.extend(files.iter().cloned());
        let ran = self
            .with_script(dir.path(), binds)
            .and_then(|binds| self.container(build, state, root, around, binds, observer));
        let cleared = points.clear();
        let ran = ran?;
        cleared?;
        Ok(ran)
    }

    /// The mounts, and that of the script if there is one, which is written below `dir`.
    fn with_script(&self, dir: &Path, mut binds: Vec<Bind>) -> Result<Vec<Bind>> {
        let Some((target, content)) = &self.script else { return Ok(binds) };
        let source = dir.join("script");
        fs::write(&source, content).map_err(Error::io("write", &source))?;
        fs::set_permissions(&source, Permissions::from_mode(0o755)).map_err(Error::io("set the mode of", &source))?;
        binds.push(Bind { read_only: true, ..Bind::new(source, target) });
        Ok(binds)
    }

    fn container(
        &self,
        build: &Build<'_>,
        state: &State,
        root: &Path,
        around: &Around<'_>,
        binds: Vec<Bind>,
        observer: &mut dyn Observer,
    ) -> Result<(i32, String)> {
        let mut config = ContainerConfig::new(root, self.words.clone());
        // As BuildKit: a Dockerfile may call sudo.
        config.no_new_privileges = false;
        config.env = state.run_env();
        config.env.extend(around.laid.env.iter().cloned());
        config.cwd = if state.workdir.is_empty() { "/".into() } else { state.workdir.clone().into() };
        config.user.clone_from(&state.user);
        let limits = &build.request.limits;
        config.memory = limits.memory.map(storage_driver::Bytes::get);
        config.shm_size = limits.shm_size.map_or(config.shm_size, storage_driver::Bytes::get);
        config.ulimits.clone_from(&limits.ulimits);
        config.binds = binds;
        config.hostname = Some(hosts::hostname(build.request).to_owned());
        config.privileged = self.insecure;
        config.tmpfs.clone_from(&around.laid.tmpfs);
        config.network = around.place.network();
        let id = format!("build-{}-{}", std::process::id(), self.index);
        config.cgroups_path = limits.cgroup_parent.as_ref().map(|parent| parent.join(&id));
        let mut container = Launch { stdio: Stdio::Output, ..Launch::new(id, spec(&config)?) }.start()?;
        let watch = Watch::start([build.request.cancel.clone(), build.halt.clone()], container.signaller());
        let mut last = Vec::new();
        let streamed = container.stream(&mut |stream, bytes| {
            let stream = match stream {
                harness_runtime::Stream::Stdout => Stream::Stdout,
                harness_runtime::Stream::Stderr => Stream::Stderr,
            };
            observer.output(self.index, stream, bytes);
            last.extend_from_slice(bytes);
            let surplus = last.len().saturating_sub(KEPT);
            last.drain(..surplus);
        });
        let exit = container.wait();
        watch.end();
        streamed?;
        let status = exit?.status();
        container.close()?;
        Ok((status, String::from_utf8_lossy(&last).into_owned()))
    }
}

/// A line that is nothing but a heredoc is its content, for the shell or for the interpreter that it names; in any other
/// line the shell reads its heredocs itself (Dockerfile reference, "Here-Documents").
fn words(state: &State, step: Step<'_>, command: &CommandLine) -> (Vec<String>, Option<(String, String)>) {
    let heredocs = &step.instruction.heredocs;
    let (CommandForm::Shell(line), Some(first)) = (&command.form, heredocs.first()) else {
        return (state.words(command), None);
    };
    if heredocs.len() == 1 && crate::parse::is_heredoc_alone(line) {
        let content = first.content();
        if content.starts_with("#!") {
            let target = format!("/dev/pipes/{}", first.name.replace('/', "_"));
            return (vec![target.clone()], Some((target, content)));
        }
        return (state.in_shell(&content), None);
    }
    let mut full = line.clone();
    for heredoc in heredocs {
        full.push('\n');
        full.push_str(&heredoc.raw);
        full.push_str(&heredoc.name);
    }
    (state.in_shell(&full), None)
}

/// Kills the container when the user wants to stop.
struct Watch {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn start(stop: [Arc<AtomicBool>; 2], container: harness_runtime::Signaller) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let ended = done.clone();
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if stop.iter().any(|stop| stop.load(Ordering::Relaxed)) {
                    let _ = container.signal(9);
                    return;
                }
                thread::park_timeout(PATIENCE);
            }
        });
        Self { done, thread }
    }

    fn end(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}
