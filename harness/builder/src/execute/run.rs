//! RUN: a container on the layer that is being made.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use harness_runtime::{
    Launch, Stdio,
    config::{ContainerConfig, spec},
};

use super::{Build, config::State};
use crate::{CommandLine, Error, Instruction, Observer, Result, Stream};

/// Of a failed command's output this much is kept for the error.
const KEPT: usize = 4096;

/// How often the wish to stop is looked at while a command runs.
const PATIENCE: Duration = Duration::from_millis(50);

pub fn run(
    build: &Build<'_>,
    state: &State,
    instruction: &Instruction,
    command: &CommandLine,
    root: &Path,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mount_points = MountPoints::make(root)?;
    let ran = run_container(build, state, command, root, observer);
    let cleared = mount_points.remove();
    let (status, output) = ran?;
    cleared?;
    if status == 0 {
        return Ok(());
    }
    build.stopped()?;
    Err(Error::Run {
        place: format!("{}:{}", build.file_name, instruction.place.line),
        instruction: instruction.text.clone(),
        status,
        output,
    })
}

fn run_container(
    build: &Build<'_>,
    state: &State,
    command: &CommandLine,
    root: &Path,
    observer: &mut dyn Observer,
) -> Result<(i32, String)> {
    let mut config = ContainerConfig::new(root, state.words(command));
    config.env = state.run_env();
    config.cwd = if state.workdir.is_empty() { "/".into() } else { state.workdir.clone().into() };
    config.user.clone_from(&state.user);
    config.memory = build.request.limits.memory.map(storage_driver::Bytes::get);
    let id = format!("build-{}-{}", std::process::id(), build.steps.len());
    let mut container = Launch { stdio: Stdio::Output, ..Launch::new(id, spec(&config)?) }.start()?;
    let watch = Watch::start(build.request.cancel.clone(), container.signaller());
    let mut last = Vec::new();
    let streamed = container.stream(&mut |stream, bytes| {
        let stream = match stream {
            harness_runtime::Stream::Stdout => Stream::Stdout,
            harness_runtime::Stream::Stderr => Stream::Stderr,
        };
        observer.output(stream, bytes);
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

/// Kills the container when the user wants to stop.
struct Watch {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn start(cancel: Arc<AtomicBool>, container: harness_runtime::Signaller) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let ended = done.clone();
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if cancel.load(Ordering::Relaxed) {
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

/// Directories that the runtime mounts on. Where the image has none they are made for the command and taken away
/// again, so that a layer is the same whatever runtime made it.
struct MountPoints(Vec<PathBuf>);

impl MountPoints {
    fn make(root: &Path) -> Result<Self> {
        let mut made = Vec::new();
        for name in ["proc", "sys", "dev"] {
            let path = root.join(name);
            match fs::create_dir(&path) {
                Ok(()) => made.push(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path)(error)),
            }
        }
        Ok(Self(made))
    }

    /// What the command put there stays.
    fn remove(self) -> Result<()> {
        for path in self.0 {
            match fs::remove_dir(&path) {
                Ok(()) => {}
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty) => {
                }
                Err(error) => return Err(Error::io("remove", path)(error)),
            }
        }
        Ok(())
    }
}
