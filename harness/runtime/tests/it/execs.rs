//! Further programs in a running container.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use harness_runtime::{
    Container, Exec, Exit, Launch, Stdio,
    config::{ContainerConfig, Tmpfs, resolve_user},
};

use crate::{
    rootfs::{Rootfs, launch, start, text},
    waiting::until,
};

crate::tests![
    privileged_programs_see_the_container_as_its_first_one_does,
    privileged_programs_have_the_containers_rights,
    privileged_programs_have_the_containers_environment,
    privileged_programs_run_as_other_users,
    privileged_their_end_is_told,
    privileged_missing_programs_are_told,
    privileged_programs_read_and_write_pipes,
    privileged_programs_have_a_terminal,
    privileged_programs_end_with_the_container,
    privileged_unread_ends_do_not_hold_the_container_up,
    privileged_signals_reach_the_program,
    privileged_nothing_of_the_host_is_open,
    privileged_an_ended_container_is_told,
    privileged_sixteen_programs_at_once,
    privileged_programs_are_counted_in_the_containers_cgroup,
    privileged_a_hostile_working_directory_stays_inside,
    privileged_this_program_cannot_be_reached_by_executing_it,
    privileged_roles_of_this_program_need_nothing_of_the_image,
];

/// A container that stays.
fn staying(config: &ContainerConfig) -> Container {
    let container = Launch { stdio: Stdio::Null, ..launch(config) }.start().unwrap();
    assert_eq!(container.try_wait().unwrap(), None);
    container
}

fn sleeper(rootfs: &Rootfs) -> ContainerConfig {
    rootfs.program(&["sleep", "100"])
}

fn shell(script: &str) -> Exec {
    Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", script]) }
}

/// What a successful program writes.
pub fn said(container: &Container, exec: Exec) -> String {
    let output = container.exec(exec).unwrap().output(1 << 20).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.exit, stderr.as_str()), (Exit::Code(0), ""), "{stdout}");
    stdout
}

fn privileged_programs_see_the_container_as_its_first_one_does() {
    let rootfs = Rootfs::new();
    let namespaces = "for kind in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$kind; done";
    let config = ContainerConfig {
        hostname: Some("inside".into()),
        tmpfs: vec![Tmpfs { target: "/mem".into(), options: vec![] }],
        ..rootfs.shell(&format!("({namespaces}; pwd; hostname) > /mem/first; exec sleep 100"))
    };
    let container = staying(&config);
    let wait = "until test -s /mem/first && tail -n 1 /mem/first | grep -q inside; do sleep 0.01; done";
    assert_eq!(said(&container, shell(wait)), "");
    let first = said(&container, shell("cat /mem/first"));
    assert_eq!(said(&container, shell(&format!("{namespaces}; pwd; hostname"))), first);
    assert!(first.ends_with("/\ninside"), "{first}");
    assert_eq!(said(&container, shell("cat /proc/1/cmdline | tr '\\0' ' '")), "sleep 100 ");
    let inode = |path: &str| said(&container, shell(&format!("stat -c %d:%i {path}")));
    assert_eq!(inode("/"), inode("/proc/1/root/."));
}

/// The lines of /proc/PID/status that say what a process may do.
const RIGHTS: &str = "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|SigBlk|SigIgn)";

fn privileged_programs_have_the_containers_rights() {
    let rootfs = Rootfs::new();
    let rights = |file: &str| Exec { stdio: Stdio::Output, ..Exec::new(["grep", "-E", RIGHTS, file]) };
    for user in [None, Some("user".to_owned())] {
        let config = ContainerConfig { user, ulimits: vec![("nofile".into(), 77, 88)], ..sleeper(&rootfs) };
        let container = staying(&config);
        let first = said(&container, rights("/proc/1/status"));
        assert_eq!(said(&container, rights("/proc/self/status")), first);
        assert!(first.contains("NoNewPrivs:\t1") && first.contains("Seccomp:\t2"), "{first}");
        assert_eq!(said(&container, shell("ulimit -n; ulimit -Hn")), "77\n88");
        let error = container.exec(shell("mount -t tmpfs none /tmp")).unwrap().output(1000).unwrap();
        assert!(!error.exit.success(), "it may mount");
    }
}

fn privileged_programs_have_the_containers_environment() {
    let rootfs = Rootfs::new();
    let config =
        ContainerConfig { env: vec!["ONE=1".into(), "TWO=2".into()], cwd: "/home/user".into(), ..sleeper(&rootfs) };
    let container = staying(&config);
    assert_eq!(said(&container, shell("echo $ONE $TWO; pwd; umask")), "1 2\n/home/user\n0022");
    let exec = Exec { env: vec!["TWO=3".into(), "NEW=4".into()], cwd: Some("/etc".into()), ..shell("env; pwd") };
    let answer = said(&container, exec);
    for line in ["ONE=1", "TWO=3", "NEW=4", "PWD=/etc"] {
        assert!(answer.lines().any(|found| found == line), "{line}: {answer}");
    }
    assert!(!answer.contains("TWO=2") && answer.ends_with("/etc"), "{answer}");
}

fn privileged_programs_run_as_other_users() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let user = resolve_user(rootfs.path(), "user", &["other".to_owned()]).unwrap();
    let exec =
        Exec { user: Some(user), ..shell("id -u; id -g; id -G; grep CapEff /proc/self/status; echo x > /dev/stdout") };
    assert_eq!(said(&container, exec), "1000\n1001\n1001 50 60\nCapEff:\t0000000000000000\nx");
    assert_eq!(said(&container, shell("id -u")), "0");
}

fn privileged_their_end_is_told() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let end = |script: &str| container.exec(shell(script)).unwrap().wait().unwrap();
    assert_eq!(end("exit 7"), Exit::Code(7));
    assert_eq!(end("kill -9 $$"), Exit::Signal(9));
    assert_eq!(end("kill -15 $$"), Exit::Signal(15));
    // What it leaves behind is the container's.
    assert_eq!(end("sleep 100 > /dev/null 2>&1 & exit 3"), Exit::Code(3));
    assert_eq!(said(&container, shell("grep -l sleep /proc/[0-9]*/comm | wc -l")), "2");
    assert_eq!(container.try_wait().unwrap(), None);
}

fn privileged_missing_programs_are_told() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    for (program, status) in [("nothing", 127), ("/bin/nothing", 127), ("/etc/passwd", 126), ("/etc", 126)] {
        let error = container.exec(Exec { stdio: Stdio::Null, ..Exec::new([program]) }).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
    }
    assert!(container.exec(Exec::new([""; 0])).unwrap_err().to_string().contains("no program"));
    assert_eq!(said(&container, shell("ls -d /proc/[0-9]* | wc -l")), "4", "1, the shell, ls and wc");
}

fn privileged_programs_read_and_write_pipes() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let mut process =
        container.exec(Exec { stdio: Stdio::Pipes, ..shell("tr a-z A-Z; echo problem >&2; exit 2") }).unwrap();
    process.take_stdin().unwrap().write_all(b"through").unwrap();
    let output = process.output(100).unwrap();
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("THROUGH", "problem"));
    assert_eq!(output.exit, Exit::Code(2));
}

fn privileged_programs_have_a_terminal() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let stdio = Stdio::Pty { rows: 7, cols: 70 };
    let mut process = container
        .exec(Exec { stdio, ..shell("tty; stty size; ls -l /proc/$$/fd/0 | wc -l; read x; echo got $x") })
        .unwrap();
    let mut terminal = BufReader::new(process.take_pty().unwrap());
    let mut lines = String::new();
    for _ in 0..3 {
        terminal.read_line(&mut lines).unwrap();
    }
    assert_eq!(lines, "/dev/pts/0\r\n7 70\r\n1\r\n");
    // The interrupt key reaches the program by its controlling terminal.
    terminal.get_mut().write_all(&[3]).unwrap();
    assert_eq!(process.wait().unwrap(), Exit::Signal(2));
    assert_eq!(said(&container, shell("ls /dev/console 2>&1 | grep -c 'No such'")), "1", "the console is process 1's");
}

fn privileged_programs_end_with_the_container() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let program = container.exec(Exec { stdio: Stdio::Null, ..Exec::new(["sleep", "100"]) }).unwrap();
    container.signal(9).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Signal(9));
    assert_eq!(program.wait().unwrap(), Exit::Signal(9));
    let container = staying(&sleeper(&rootfs));
    drop(container.exec(Exec { stdio: Stdio::Null, ..Exec::new(["sleep", "100"]) }).unwrap());
    assert_eq!(said(&container, shell("grep -l sleep /proc/[0-9]*/comm")), "/proc/1/comm", "dropping kills");
}

/// The kernel lets process 1 end only when all that ended before it in its pid namespace were waited for.
fn privileged_unread_ends_do_not_hold_the_container_up() {
    let rootfs = Rootfs::new();
    let config = rootfs.shell("sleep 1; exit 5");
    let container = Launch { accounting: true, stdio: Stdio::Null, ..launch(&config) }.start().unwrap();
    let programs: Vec<_> = (0..3).map(|_| container.exec(shell("exit 4")).unwrap()).collect();
    let started = Instant::now();
    assert_eq!(container.wait().unwrap(), Exit::Code(5));
    assert!(started.elapsed() < Duration::from_secs(30));
    container.close().unwrap();
    assert!(programs.iter().all(|program| program.wait().unwrap() == Exit::Code(4)));
}

fn privileged_signals_reach_the_program() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    let mut process =
        container.exec(shell("trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.01; done")).unwrap();
    let mut lines = BufReader::new(process.take_stdout().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    process.signaller().signal(15).unwrap();
    lines.read_to_string(&mut line).unwrap();
    assert_eq!((line.as_str(), process.wait().unwrap()), ("ready\ngot\n", Exit::Code(3)));
    process.signal(15).unwrap();
}

fn privileged_nothing_of_the_host_is_open() {
    let rootfs = Rootfs::new();
    let secret = tempfile::tempfile().unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let config = ContainerConfig { cap_add: harness_runtime::config::Capabilities::All, ..sleeper(&rootfs) };
    let container = staying(&config);
    // The last is what ls opens.
    let list = Exec { stdio: Stdio::Output, ..Exec::new(["ls", "/proc/self/fd"]) };
    assert_eq!(said(&container, list), "0\n1\n2\n3");
    assert_eq!(said(&container, shell("readlink /proc/$$/root; readlink /proc/$$/cwd")), "/\n/");
    // The file of this program, were it reached, is on a read-only mount; here it is gone with the execution.
    assert_eq!(said(&container, shell("readlink /proc/$$/exe")), "/bin/busybox");
    drop(secret);
}

fn privileged_an_ended_container_is_told() {
    let rootfs = Rootfs::new();
    let container = start(&rootfs.program(&["true"])).unwrap();
    container.wait().unwrap();
    let error = container.exec(shell("true")).unwrap_err().to_string();
    assert!(error.contains("has it ended?"), "{error}");
}

fn privileged_sixteen_programs_at_once() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    std::thread::scope(|scope| {
        for index in 0..16 {
            let container = &container;
            scope.spawn(move || {
                for _ in 0..3 {
                    let output =
                        container.exec(shell(&format!("echo {index}; exit {index}"))).unwrap().output(100).unwrap();
                    assert_eq!((output.exit, text(&output.stdout)), (Exit::Code(index), index.to_string()));
                }
            });
        }
    });
}

fn privileged_programs_are_counted_in_the_containers_cgroup() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { memory: Some(256 << 20), pids_limit: Some(10), ..sleeper(&rootfs) };
    let container = staying(&config);
    let before = container.stats().unwrap().unwrap().memory.unwrap();
    assert_eq!(said(&container, shell("cat /proc/self/cgroup")), said(&container, shell("cat /proc/1/cgroup")));
    let mut holds = container.exec(shell("head -c 20000000 /dev/zero | tail -n 1 | (sleep 0.3; cat) | wc -c")).unwrap();
    let memory = || container.stats().unwrap().unwrap().memory.unwrap();
    until("its memory is counted", || memory() >= before + (8 << 20));
    assert_eq!(text(&holds.output(100).unwrap().stdout), "20000000");
    let many =
        container.exec(shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait")).unwrap().output(1000).unwrap();
    assert!(text(&many.stderr).contains("fork"), "{}", text(&many.stderr));
    container.close().unwrap();
}

fn privileged_a_hostile_working_directory_stays_inside() {
    let rootfs = Rootfs::new();
    let container = staying(&sleeper(&rootfs));
    for (index, link) in
        ["/proc/self/fd/3", "/proc/self/fd/4", "/proc/self/fd/5", "../../../..", "/proc/1/cwd/.."].iter().enumerate()
    {
        std::os::unix::fs::symlink(link, rootfs.path().join(format!("cwd{index}"))).unwrap();
        for cwd in [format!("/cwd{index}"), "/../..".to_owned()] {
            if let Ok(mut process) = container.exec(Exec { cwd: Some(cwd.into()), ..shell("pwd") }) {
                assert_eq!(text(&process.output(1000).unwrap().stdout), "/", "{link}");
            }
        }
    }
    assert!(Path::new(rootfs.path()).exists() && fs::read_dir(rootfs.path()).unwrap().count() > 5);
}

/// The program that starts in the container is this one until it executes another: an image that has it execute itself
/// must not get a descriptor for writing.
fn privileged_this_program_cannot_be_reached_by_executing_it() {
    let rootfs = Rootfs::new();
    let before = fs::metadata("/proc/self/exe").unwrap().modified().unwrap();
    fs::write(rootfs.path().join("evil"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(rootfs.path().join("evil"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let container = staying(&ContainerConfig { privileged: true, ..sleeper(&rootfs) });
    let mut watch = container
        .exec(shell(
            "for n in $(seq 1 2000); do for p in /proc/[0-9]*; do (echo x >> $p/exe) 2>&1; done; done | grep -v busy",
        ))
        .unwrap();
    for program in ["/evil", "/proc/self/exe", "true"] {
        if let Ok(process) = container.exec(Exec { stdio: Stdio::Null, ..Exec::new([program]) }) {
            assert_eq!(process.wait().unwrap() == Exit::Code(0), program == "true");
        }
    }
    watch.signal(9).unwrap();
    watch.output(1 << 20).unwrap();
    assert_eq!(fs::metadata("/proc/self/exe").unwrap().modified().unwrap(), before);
}

fn privileged_roles_of_this_program_need_nothing_of_the_image() {
    let rootfs = Rootfs::new();
    let container = staying(&ContainerConfig { user: Some("user".into()), ..sleeper(&rootfs) });
    let role = |name: &str| Exec { role: true, stdio: Stdio::Output, ..Exec::new([name, "loud"]) };
    let output = container.exec(role("shout")).unwrap().output(1000).unwrap();
    assert_eq!(text(&output.stdout), "\"loud\" sleep CapEff:\t0000000000000000 3");
    assert_eq!(output.exit, Exit::Code(9));
    assert_eq!(container.exec(role("whisper")).unwrap_err().status(), 127);
    assert_eq!(container.exec(Exec { role: false, ..role("shout") }).unwrap_err().status(), 127);
}
