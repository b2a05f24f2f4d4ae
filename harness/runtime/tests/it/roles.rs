//! Tests in which this program runs again, in another place or to be killed.

use std::{
    ffi::CString,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio as ProcessStdio, exit},
    thread,
    time::Duration,
};

use harness_runtime::{
    Exec, Exit, Launch, Role, Stdio,
    config::{ContainerConfig, Tmpfs},
};

use crate::execs;
use crate::rootfs::{Rootfs, launch, run, start, stdout, text};
use crate::waiting::until;

crate::tests![
    privileged_containers_die_with_this_program,
    privileged_containers_run_in_a_user_namespace_of_an_ordinary_user,
    privileged_ordinary_users_are_told_what_they_need,
    privileged_a_program_that_was_replaced_still_starts_containers,
];

const ROLE: &str = "--role=";

/// A role in containers: writes its arguments, the first process's name and what it may do.
pub const SHOUT: Role = Role { name: "shout", run: shout };

fn shout(args: &[CString]) -> i32 {
    let first = std::fs::read_to_string("/proc/1/comm").unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find(|line| line.starts_with("CapEff")).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    let said = format!("{:?} {} {effective} {descriptors}", args[1], first.trim());
    std::io::stdout().write_all(said.as_bytes()).unwrap();
    9
}

/// Plays a role instead of running tests, if that is what this process was started for.
pub fn play_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(role) = arguments.get(1).and_then(|argument| argument.strip_prefix(ROLE)) else { return };
    let rootfs = Path::new(&arguments[2]);
    match role {
        "starter" => start_and_stay(rootfs),
        "user-namespace" => in_user_namespace(rootfs),
        "ordinary-user" => without_privilege(rootfs),
        "replaced" => after_removal(rootfs),
        other => panic!("role {other}"),
    }
    exit(0);
}

fn role(role: &str, rootfs: &Rootfs, before: &[&str]) -> Command {
    // A copy that everybody may execute.
    let program = rootfs.path().join("this-program");
    std::fs::copy("/proc/self/exe", &program).unwrap();
    let mut words: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
    words.extend([
        program.to_str().unwrap().to_owned(),
        format!("{ROLE}{role}"),
        rootfs.path().to_str().unwrap().to_owned(),
    ]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn start_and_stay(rootfs: &Path) {
    let config = ContainerConfig::new(rootfs, ["sleep", "100"]);
    let container =
        thread::spawn(move || Launch { stdio: Stdio::Null, ..launch(&config) }.start().unwrap()).join().unwrap();
    let mut answer = std::io::stdout();
    writeln!(answer, "{}", container.pid()).unwrap();
    container.wait().unwrap();
}

fn privileged_containers_die_with_this_program() {
    let rootfs = Rootfs::new();
    let mut starter = role("starter", &rootfs, &[]).stdout(ProcessStdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(starter.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = format!("/proc/{}", line.trim());
    thread::sleep(Duration::from_millis(100));
    assert!(Path::new(&process).exists(), "it outlives the thread that started it");
    starter.kill().unwrap();
    starter.wait().unwrap();
    until("the container ends with its starter", || !Path::new(&process).exists());
}

const ORDINARY_USER: [&str; 6] =
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"];

fn privileged_containers_run_in_a_user_namespace_of_an_ordinary_user() {
    let rootfs = Rootfs::new();
    let before = [&ORDINARY_USER[..], &["unshare", "--user", "--map-root-user", "--mount", "--"]].concat();
    let output = role("user-namespace", &rootfs, &before).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn in_user_namespace(rootfs: &Path) {
    let shell = |script: &str| {
        let mut config = ContainerConfig::new(rootfs, ["sh", "-c", script]);
        // The files are an unmapped user's, so the root cannot be written to.
        config.tmpfs = vec![Tmpfs { target: "/tmp".into(), options: vec![] }];
        config
    };
    assert_eq!(
        stdout(&shell("id -u; echo $$; hostname | wc -l; ls /sys/class/net; cat /sys/class/net/lo/flags")),
        "0\n1\n1\nlo\n0x9"
    );
    let devices = "head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c; ls -1 /dev | grep -v core | tr '\\n' ' '";
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ";
    assert_eq!(stdout(&shell(devices)), format!("3\n1\n{expected}"));
    let masked = "cat /proc/keys /proc/timer_list; ls -A /sys/firmware; grep -c . /proc/self/status > /dev/null";
    assert_eq!(stdout(&shell(masked)), "");
    assert!(!run(&shell("echo 1 > /proc/sys/net/ipv4/ip_forward")).exit.success());
    assert_eq!(
        stdout(&shell("grep -E '^(CapEff|Seccomp:|NoNewPrivs)' /proc/self/status | cut -f2 | tr '\\n' ' '")),
        "00000000a80425fb 1 2 "
    );
    assert_eq!(run(&shell("exit 7")).exit, Exit::Code(7));
    let container = start(&ContainerConfig::new(rootfs, ["sleep", "100"])).unwrap();
    let exec = Exec { stdio: Stdio::Output, ..Exec::new(["sh", "-c", "id -u; cat /proc/1/comm"]) };
    assert_eq!(execs::said(&container, exec), "0\nsleep");
    drop(container);
    assert_eq!(start(&ContainerConfig::new(rootfs, ["nothing"])).unwrap_err().status(), 127);
    let error = start(&ContainerConfig { user: Some("user".into()), ..shell("true") }).unwrap_err().to_string();
    assert!(error.contains("is it mapped?"), "{error}");
    let limited = start(&ContainerConfig { memory: Some(64 << 20), ..shell("true") }).unwrap_err().to_string();
    assert!(limited.starts_with("cannot limit memory: ") && limited.contains("run as root"), "{limited}");
    let terminal = ContainerConfig { tty: true, ..shell("tty") };
    let mut container = Launch { stdio: Stdio::Pty { rows: 1, cols: 80 }, ..launch(&terminal) }.start().unwrap();
    let mut line = String::new();
    BufReader::new(container.take_pty().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "/dev/pts/0");
}

fn privileged_ordinary_users_are_told_what_they_need() {
    let rootfs = Rootfs::new();
    let output = role("ordinary-user", &rootfs, &ORDINARY_USER).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn without_privilege(rootfs: &Path) {
    let error = start(&ContainerConfig::new(rootfs, ["true"])).unwrap_err();
    assert_eq!(error.status(), 125);
    let said = error.to_string();
    assert!(said.contains("run as root, or in a user namespace"), "{said}");
}

/// As when it is built or installed anew while it runs.
fn privileged_a_program_that_was_replaced_still_starts_containers() {
    let rootfs = Rootfs::new();
    let output = loop {
        match role("replaced", &rootfs, &[]).output() {
            // Another test's child holds the descriptor through which the copy was written, until it executes.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            other => break other.unwrap(),
        }
    };
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn after_removal(rootfs: &Path) {
    std::fs::remove_file(rootfs.join("this-program")).unwrap();
    assert_eq!(stdout(&ContainerConfig::new(rootfs, ["echo", "started"])), "started");
}
