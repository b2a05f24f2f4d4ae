use std::{
    ffi::{OsStr, OsString},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Accel, Error, Job, Kernel, Output, Result,
    accel::Attempt,
    console::Console,
    disk, initramfs,
    job::share_tag,
    ports::{self, Event, Port},
    quote, tools,
};

/// Where the guest's disk is mounted in the guest: where the harness keeps its data when nothing else is said.
pub const DATA: &str = "/var/lib/harness";

const QEMU: &str = "qemu-system-x86_64";
const MIB: u64 = 1 << 20;

/// How long a command that was told to stop may take to clean up.
const GRACE: Duration = Duration::from_secs(30);

/// A machine, as it is to be made.
#[derive(Debug, Clone)]
pub struct Lab {
    /// What it boots.
    pub kernel: Kernel,
    /// Its memory, in bytes.
    pub memory: u64,
    /// Its processors.
    pub cpus: u32,
    /// Who executes its instructions.
    pub accel: Accel,
    /// Its disk, in bytes; a sparse file takes what is written.
    pub disk: u64,
    /// Where the disk and what the machine boots from lie, while it runs.
    pub scratch: PathBuf,
    /// The most that the command may take, once the guest runs.
    pub timeout: Option<Duration>,
}

impl Lab {
    /// A machine with two processors, 2 GiB of memory and a disk of 16 GiB.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        let scratch = std::env::temp_dir();
        Self { kernel, memory: 2048 * MIB, cpus: 2, accel: Accel::default(), disk: 16 << 30, scratch, timeout: None }
    }

    /// Boots, runs the command, and gives its exit status.
    ///
    /// When `stop` is set, the command gets SIGINT and a while to clean up; then the machine ends.
    ///
    /// # Errors
    /// What is missing, and with which command it comes ([`Error::NoTool`], [`Error::NoKernel`], [`Error::NoModule`]);
    /// [`Error::NoBoot`], [`Error::Setup`] and [`Error::Died`] with the end of the guest's console; [`Error::Timeout`];
    /// [`Error::Stopped`] when the machine had to be ended.
    pub fn run(&mut self, job: &Job, output: Output<'_>, stop: &AtomicBool) -> Result<u8> {
        self.check()?;
        let mut output = Some(output);
        let mut attempts = self.accel.attempts()?.into_iter().peekable();
        while let Some(attempt) = attempts.next() {
            let ended = self.attempt(attempt, job, &mut output, stop);
            // Once the guest was up the command may have begun, which must not run twice.
            let Some(next) = attempts.peek().filter(|_| output.is_some()) else { return ended };
            match ended {
                Err(Error::NoBoot { .. } | Error::Died { .. }) if next.name != attempt.name => {
                    tracing::warn!(
                        "no guest comes up with {}, so it is emulated, which is several times slower; --accel tcg does \
                         not try",
                        attempt.name
                    );
                    // The next kernel on this machine will not come up either.
                    self.accel = Accel::Tcg;
                }
                Err(error @ (Error::NoBoot { .. } | Error::Died { .. })) => {
                    tracing::warn!("the guest is booted again: {error}");
                }
                other => return other,
            }
        }
        Err(Error::Died { console: String::new() })
    }

    fn check(&self) -> Result<()> {
        let size = |what, why: &str| Err(Error::Size { what, why: why.to_owned() });
        match self {
            Self { memory, .. } if *memory < 256 * MIB => size("memory", "a guest needs 256 MiB at least"),
            Self { cpus: 0, .. } => size("cpus", "a guest needs one at least"),
            Self { disk, .. } if *disk < 64 * MIB => size("disk", "a file system needs 64 MiB at least"),
            _ => Ok(()),
        }
    }

    /// `output` is taken once the guest is up: until then another attempt is possible.
    fn attempt<'a>(
        &self,
        attempt: Attempt,
        job: &Job,
        output: &mut Option<Output<'a>>,
        stop: &AtomicBool,
    ) -> Result<u8> {
        let files = tempfile::Builder::new().prefix("harness-lab-").tempdir_in(&self.scratch);
        let files = files.map_err(Error::io("make a directory in", &self.scratch))?;
        initramfs::write(&files.path().join(INITRAMFS), &self.kernel, job)?;
        disk::make(&files.path().join(DISK), self.disk)?;
        let mut guest = self.start(attempt, files, job)?;
        guest.boot(attempt, stop)?;
        let Some(output) = output.take() else { return Err(Error::Died { console: String::new() }) };
        guest.finish(self.timeout, output, stop)
    }

    fn start(&self, attempt: Attempt, files: TempDir, job: &Job) -> Result<Guest> {
        let console_path = files.path().join("console");
        let console = Console::create(&console_path)?;
        let mut qemu = Command::new(tools::find(QEMU, "qemu-system-x86")?);
        self.arguments(&mut qemu, attempt, files.path(), job);
        qemu.arg("-device").arg("virtio-serial-pci");
        let control = Port::add(&mut qemu, ports::CONTROL)?;
        let out = Port::add(&mut qemu, ports::OUT)?;
        let err = Port::add(&mut qemu, ports::ERR)?;
        // The guest's serial line is QEMU's standard output, so that both speak into the same file.
        qemu.args(["-serial", "stdio"]);
        qemu.stdin(Stdio::null()).stdout(console.writer(&console_path)?).stderr(console.writer(&console_path)?);
        // Ctrl-C is for this program to deal with.
        qemu.process_group(0);
        let child = storage_sys::child::dies_with_parent(&mut qemu).spawn().map_err(Error::io("start", QEMU))?;
        let (control, out, err) = (control.close_theirs(), out.close_theirs(), err.close_theirs());
        let (send, events) = mpsc::channel();
        let listening = control.try_clone().map_err(Error::io("share", "a socket"))?;
        thread::spawn(move || ports::listen(&listening, &send));
        Ok(Guest { child, console, events, control, out, err, files: Some(files) })
    }

    fn arguments(&self, qemu: &mut Command, attempt: Attempt, files: &Path, job: &Job) {
        let mut option = |name: &str, value: OsString| {
            qemu.arg(name).arg(value);
        };
        for (name, value) in [
            ("-machine", "q35"),
            ("-accel", attempt.accel),
            ("-cpu", attempt.cpu),
            ("-display", "none"),
            ("-nic", "none"),
            ("-device", "virtio-rng-pci"),
            // A panic reboots at once, and a reboot ends QEMU.
            ("-append", "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic rdinit=/init"),
        ] {
            option(name, value.into());
        }
        option("-smp", self.cpus.to_string().into());
        option("-m", format!("{}M", self.memory / MIB).into());
        option("-kernel", self.kernel.image.clone().into());
        option("-initrd", files.join(INITRAMFS).into());
        // Flushes reach the file, as they would reach a disk.
        let disk = quote::qemu(
            "if=none,id=disk,format=raw,discard=unmap,cache=writeback,file=",
            files.join(DISK).as_os_str(),
            "",
        );
        option("-drive", disk);
        option("-device", "virtio-blk-pci,drive=disk".into());
        share(&mut option, "root", OsStr::new("/"), ",readonly=on");
        for (index, dir) in job.shares.iter().enumerate() {
            share(&mut option, &share_tag(index), dir.as_os_str(), "");
        }
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    }
}

const INITRAMFS: &str = "initramfs";
const DISK: &str = "disk";

/// A directory of this machine over 9p. Mount points below it have inode numbers of their own, which must not collide.
fn share(option: &mut impl FnMut(&str, OsString), tag: &str, path: &OsStr, how: &str) {
    let suffix = format!(",id={tag},security_model=none,multidevs=remap{how}");
    option("-fsdev", quote::qemu("local,path=", path, &suffix));
    option("-device", format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}").into());
}

/// A running machine; dropping it ends it.
struct Guest {
    child: Child,
    console: Console,
    events: Receiver<Event>,
    control: UnixStream,
    out: UnixStream,
    err: UnixStream,
    /// Only until the guest is up: QEMU has the files open by then, and what has no name cannot be forgotten.
    files: Option<TempDir>,
}

/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(100);

impl Guest {
    fn boot(&mut self, attempt: Attempt, stop: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Ready) => break,
                Ok(Event::Failed(why)) => return Err(Error::Setup { why, console: self.console.last_lines() }),
                Ok(Event::Status(_) | Event::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err(Error::Stopped),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > attempt.deadline => {
                    let (accel, after) = (attempt.name, attempt.deadline);
                    return Err(Error::NoBoot { accel, after, console: self.console.last_lines() });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        tracing::debug!(accel = attempt.name, after = ?start.elapsed(), "the guest is up");
        if let Some(files) = self.files.take() {
            let path = files.path().to_owned();
            files.close().map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// Relays what the command says until it ends.
    fn finish(mut self, timeout: Option<Duration>, mut output: Output<'_>, stop: &AtomicBool) -> Result<u8> {
        thread::scope(|scope| {
            let (out, err) = (self.relayed(|guest| &guest.out)?, self.relayed(|guest| &guest.err)?);
            scope.spawn(move || ports::relay(&out, &mut output.out));
            scope.spawn(move || ports::relay(&err, &mut output.err));
            let ended = self.wait(timeout, stop);
            // All that the command wrote is in the sockets when its status is told; their end comes with QEMU's.
            self.end();
            ended
        })
    }

    fn relayed(&self, port: fn(&Self) -> &UnixStream) -> Result<UnixStream> {
        port(self).try_clone().map_err(Error::io("share", "a socket"))
    }

    fn wait(&mut self, timeout: Option<Duration>, stop: &AtomicBool) -> Result<u8> {
        let start = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Status(status)) => return Ok(status),
                Ok(Event::Failed(why)) => return Err(Error::Setup { why, console: self.console.last_lines() }),
                Ok(Event::Ready) => {}
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if told.is_none() && stop.load(Ordering::Relaxed) {
                ports::signal(&self.control, "INT");
                told = Some(Instant::now());
            }
            if told.is_some_and(|when| when.elapsed() > GRACE) {
                return Err(Error::Stopped);
            }
            if let Some(timeout) = timeout.filter(|timeout| start.elapsed() > *timeout) {
                return Err(Error::Timeout(timeout));
            }
        }
    }

    fn died(&mut self) -> Error {
        self.end();
        Error::Died { console: self.console.last_lines() }
    }

    /// Ends QEMU, if it has not ended, and everything that waits for it.
    fn end(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        ports::hang_up(&self.control);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}
