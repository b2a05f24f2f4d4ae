//! Commands in real guests. Each boot is some seconds of emulation, so that one guest answers many questions.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use harness_lab::{Accel, DATA, Error, Job, Kernel, Lab, Output};

fn lab() -> Lab {
    let kernel = Kernel::find(None).expect("install linux-image-amd64");
    // KVM is tried out by people; here a machine whose guests hang would cost every test a deadline.
    // Two emulated processors wait for each other.
    Lab { accel: Accel::Tcg, cpus: 1, memory: 1 << 30, disk: 1 << 30, ..Lab::new(kernel) }
}

fn shell(script: &str) -> Job {
    Job {
        command: ["sh", "-c", script].map(OsString::from).to_vec(),
        dir: std::env::temp_dir(),
        environment: vec![("GREETING".into(), "it's me".into())],
        shares: Vec::new(),
    }
}

/// One guest at a time: each takes all processors.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(lab: &mut Lab, job: &Job) -> (harness_lab::Result<u8>, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let output = Output { out: Box::new(&mut out), err: Box::new(&mut err) };
    let status = lab.run(job, output, &AtomicBool::new(false));
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// QEMU processes of this process.
fn leftovers() -> Vec<PathBuf> {
    let ours = |path: &Path| {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        status.contains("qemu-system") && status.contains(&format!("PPid:\t{}\n", std::process::id()))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(|path| ours(path));
    processes.collect()
}

#[test]
fn a_command_has_this_machines_files_another_kernel_and_a_disk_of_its_own() {
    let _turn = turn();
    let shared = tempfile::tempdir().unwrap();
    let hidden = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("in"), "from here").unwrap();
    let mut lab = lab();
    let script = format!(
        "uname -r; echo $GREETING; pwd; cat {shared}/in; echo; echo to there >{shared}/out; echo gone >{hidden}/gone
         findmnt -n -o FSTYPE {DATA}; echo $TMPDIR
         test -c /dev/mapper/control && echo device-mapper
         test -c /dev/fuse && echo fuse
         head -c 300000 /dev/zero | tr '\\0' x; echo
         echo on standard error >&2; exit 42",
        shared = shared.path().display(),
        hidden = hidden.path().display(),
    );
    let job = Job { shares: vec![shared.path().to_owned()], ..shell(&script) };
    let (status, out, err) = run(&mut lab, &job);
    assert_eq!(status.unwrap(), 42, "{out}\n{err}");
    assert_eq!(err, "on standard error\n");
    let lines: Vec<_> = out.lines().collect();
    let temp = std::env::temp_dir();
    let expected = [
        lab.kernel.release(),
        "it's me",
        temp.to_str().unwrap(),
        "from here",
        "ext4",
        &format!("{DATA}/tmp"),
        "device-mapper",
        // By which the matrix of faults records what is written before the power goes.
        "fuse",
    ];
    assert_eq!(lines[..8], expected);
    assert_eq!((lines[8].len(), lines.len()), (300_000, 9));
    assert_eq!(fs::read_to_string(shared.path().join("out")).unwrap(), "to there\n");
    assert!(!hidden.path().join("gone").exists(), "the guest wrote to this machine's files");
    assert_eq!(leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_command_that_does_not_end_is_ended() {
    let _turn = turn();
    let mut lab = Lab { timeout: Some(Duration::from_secs(1)), ..lab() };
    let (status, out, _) = run(&mut lab, &shell("echo started; sleep 1000"));
    assert!(matches!(status, Err(Error::Timeout(_))), "{status:?}");
    assert_eq!(out, "started\n");
    assert_eq!(leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_command_that_is_told_to_stop_may_clean_up() {
    let _turn = turn();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let status = {
        let told = Told { stop: &stop, heard: &mut out };
        let output = Output { out: Box::new(told), err: Box::new(&mut err) };
        lab().run(&shell("trap 'echo cleaned up; exit 130' INT; echo started; sleep 1000 & wait"), output, &stop)
    };
    assert_eq!(status.unwrap(), 130, "{} {}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert_eq!(String::from_utf8(out).unwrap(), "started\ncleaned up\n");
    assert!(start.elapsed() < Duration::from_secs(200));
}

/// Stops as soon as the command says something.
struct Told<'a> {
    stop: &'a AtomicBool,
    heard: &'a mut Vec<u8>,
}

impl std::io::Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.heard.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_guest_that_does_not_come_up_says_why() {
    let _turn = turn();
    let mut job = shell("true");
    job.dir = "/there/is/no/such/place".into();
    let (status, _, _) = run(&mut lab(), &job);
    let error = status.unwrap_err().to_string();
    assert!(error.contains("there is no directory /there/is/no/such/place"), "{error}");
    assert_eq!(leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn machines_that_cannot_be_are_refused_before_anything_is_made() {
    let _turn = turn();
    for mut lab in [Lab { memory: 1 << 20, ..lab() }, Lab { cpus: 0, ..lab() }, Lab { disk: 4096, ..lab() }] {
        assert!(matches!(run(&mut lab, &shell("true")).0, Err(Error::Size { .. })));
    }
    assert!(
        Command::new("qemu-system-x86_64").arg("--version").output().expect("install qemu-system-x86").status.success()
    );
}
