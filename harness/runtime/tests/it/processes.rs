//! Signals, ends and many at once.

use std::{
    io::{BufRead, BufReader},
    thread,
    time::{Duration, Instant},
};

use harness_runtime::{Container, Exit, Launch, Stdio};

use crate::rootfs::{Rootfs, launch, start, text};

crate::tests![
    privileged_signals_reach_process_one,
    privileged_signals_are_ignored_by_default_as_process_one,
    privileged_with_a_reaper_signals_have_their_defaults,
    privileged_a_reaper_passes_signals_on_and_reaps,
    privileged_a_reaper_reports_missing_programs,
    privileged_orphans_end_with_process_one,
    privileged_dropping_kills,
    privileged_ends_are_seen_by_all_who_wait,
    privileged_sixteen_at_once,
    privileged_starts_from_threads_that_end,
];

/// Waits until the container has said that it is ready.
fn ready(container: &mut Container) -> BufReader<std::fs::File> {
    let mut lines = BufReader::new(container.take_stdout().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    lines
}

fn privileged_signals_reach_process_one() {
    let rootfs = Rootfs::new();
    let script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut container = start(&rootfs.shell(script)).unwrap();
    let mut lines = ready(&mut container);
    container.signal(15).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), container.wait().unwrap()), ("got\n", Exit::Code(3)));
    container.signal(15).unwrap();
}

fn privileged_signals_are_ignored_by_default_as_process_one() {
    let rootfs = Rootfs::new();
    let mut container = start(&rootfs.shell("echo ready; exec sleep 100")).unwrap();
    let _lines = ready(&mut container);
    container.signal(15).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(container.try_wait().unwrap(), None);
    container.signal(9).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Signal(9));
    assert_eq!(container.wait().unwrap().status(), 137);
}

fn privileged_with_a_reaper_signals_have_their_defaults() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("echo ready; exec sleep 100");
    let mut container = Launch { init: true, ..launch(&config) }.start().unwrap();
    let _lines = ready(&mut container);
    container.signal(15).unwrap();
    assert_eq!(container.wait().unwrap().status(), 128 + 15);
}

fn privileged_a_reaper_passes_signals_on_and_reaps() {
    let rootfs = Rootfs::new();
    // Orphans that end at once; process 1 has to reap them.
    let script = "for i in 1 2 3 4 5; do sh -c 'sh -c : & exit'; done; sleep 0.2
        grep -l 'State:.Z' /proc/[0-9]*/status; trap 'echo usr; exit 9' USR1; echo $$; echo ready
        while :; do sleep 0.01; done";
    let mut container = Launch { init: true, ..launch(&rootfs.shell(script)) }.start().unwrap();
    let mut lines = BufReader::new(container.take_stdout().unwrap());
    let mut said = String::new();
    while !said.ends_with("ready\n") {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert_eq!(said, "2\nready\n", "no zombies, and the program is no process 1");
    container.signal(10).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(9));
}

fn privileged_a_reaper_reports_missing_programs() {
    let rootfs = Rootfs::new();
    let broken = rootfs.path().join("bin/broken");
    std::fs::write(&broken, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for init in [false, true] {
        for (program, status) in [("nothing", 127), ("broken", 127), ("/etc/passwd", 126)] {
            let launch = Launch { init, ..launch(&rootfs.program(&[program])) };
            let error = launch.start().unwrap_err();
            assert_eq!(error.status(), status, "{error}");
        }
    }
}

fn privileged_orphans_end_with_process_one() {
    let rootfs = Rootfs::new();
    // The number is found on the host by the argument that only this test uses.
    let marker = format!("{}.{}", 70_000 + std::process::id() % 1000, 271);
    let script = format!("setsid sleep {marker} & sleep 0.1; exit 4");
    let output = start(&rootfs.shell(&script)).unwrap().output(100).unwrap();
    assert_eq!(output.exit, Exit::Code(4));
    assert_eq!(running_with(&marker), 0);
}

fn running_with(argument: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let has =
        |path: std::path::PathBuf| std::fs::read(path.join("cmdline")).is_ok_and(|line| text(&line).contains(argument));
    entries.filter(|entry| has(entry.path())).count()
}

fn privileged_dropping_kills() {
    let rootfs = Rootfs::new();
    let container = start(&rootfs.program(&["sleep", "100"])).unwrap();
    let pid = container.pid();
    drop(container);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

fn privileged_ends_are_seen_by_all_who_wait() {
    let rootfs = Rootfs::new();
    let container = start(&rootfs.shell("sleep 0.1; exit 5")).unwrap();
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(|| container.wait().unwrap())).collect();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Exit::Code(5));
        }
    });
}

fn privileged_sixteen_at_once() {
    let rootfs = Rootfs::new();
    thread::scope(|scope| {
        for index in 0..16 {
            let rootfs = &rootfs;
            scope.spawn(move || {
                for round in 0..4 {
                    let script = format!("echo {index} {round}; ls /proc/self/fd | wc -l; exit {index}");
                    let output = start(&rootfs.shell(&script)).unwrap().output(100).unwrap();
                    assert_eq!((output.exit, text(&output.stdout)), (Exit::Code(index), format!("{index} {round}\n4")));
                }
            });
        }
    });
}

fn privileged_starts_from_threads_that_end() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("sleep 0.3; exit 6");
    let container =
        thread::spawn(move || Launch { stdio: Stdio::Null, ..launch(&config) }.start().unwrap()).join().unwrap();
    let started = Instant::now();
    assert_eq!(container.wait().unwrap(), Exit::Code(6));
    assert!(started.elapsed() > Duration::from_millis(100), "it was not killed with its thread");
}
