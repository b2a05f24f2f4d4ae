//! Terminals.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    thread,
};

use harness_runtime::{Container, Exit, Launch, Stdio, config::ContainerConfig, terminal_size};
use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::rootfs::{Rootfs, launch, start};

crate::tests![
    privileged_terminals_have_a_name_and_a_size,
    privileged_terminals_control_their_session,
    privileged_terminals_belong_to_the_user,
    privileged_keys_signal_the_program_under_a_reaper,
    privileged_attach_relays_and_restores,
    privileged_terminals_need_the_specification_to_agree,
];

fn on_terminal(config: &ContainerConfig, init: bool) -> Container {
    let config = ContainerConfig { tty: true, ..config.clone() };
    Launch { stdio: Stdio::Pty { rows: 33, cols: 101 }, init, ..launch(&config) }.start().unwrap()
}

fn read_all(mut pty: File) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    // EIO is the end.
    while let Ok(n @ 1..) = pty.read(&mut buffer) {
        said.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(said).unwrap().replace("\r\n", "\n")
}

fn privileged_terminals_have_a_name_and_a_size() {
    let rootfs = Rootfs::new();
    let script = "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; stty size; echo $TERM; echo x > /dev/console";
    let mut container = on_terminal(&rootfs.shell(script), false);
    assert_eq!(read_all(container.take_pty().unwrap()), "/dev/pts/0\nall\n33 101\nxterm\nx\n");
    assert_eq!(container.wait().unwrap(), Exit::Code(0));
}

fn privileged_terminals_control_their_session() {
    let rootfs = Rootfs::new();
    let mut container =
        on_terminal(&rootfs.shell("trap 'echo int; exit 8' INT; echo ready; while :; do sleep 0.01; done"), false);
    let mut pty = container.take_pty().unwrap();
    wait_for(&mut pty, "ready");
    pty.write_all(b"\x03").unwrap();
    assert!(read_all(pty).contains("int"));
    assert_eq!(container.wait().unwrap(), Exit::Code(8));
}

fn wait_for(pty: &mut File, word: &str) {
    let mut said = String::new();
    let mut buffer = [0; 256];
    while !said.contains(word) {
        let n = pty.read(&mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}

fn privileged_terminals_belong_to_the_user() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { user: Some("user".into()), ..rootfs.shell("stat -c %u $(tty); echo x > $(tty)") };
    let mut container = on_terminal(&config, false);
    assert_eq!(read_all(container.take_pty().unwrap()), "1000\nx\n");
}

fn privileged_keys_signal_the_program_under_a_reaper() {
    let rootfs = Rootfs::new();
    let mut container = on_terminal(&rootfs.shell("echo ready; exec sleep 100"), true);
    let mut pty = container.take_pty().unwrap();
    wait_for(&mut pty, "ready");
    pty.write_all(b"\x03").unwrap();
    assert_eq!(container.wait().unwrap().status(), 128 + 2);
}

/// A person's terminal is played by another pair.
fn privileged_attach_relays_and_restores() {
    let rootfs = Rootfs::new();
    let mut container = on_terminal(
        &rootfs.shell("read start; stty size; read line; echo got $line; sleep 0.3; stty size; exit 5"),
        false,
    );
    let person: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let terminal = ioctl_tiocgptpeer(&person, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let resize =
        |rows| tcsetwinsize(&terminal, Winsize { ws_row: rows, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    resize(20);
    assert_eq!(terminal_size(&terminal), Some((20, 80)));
    assert!(tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ICANON));
    let mut keyboard = File::from(person.try_clone().unwrap());
    let mut screen = File::from(person);
    thread::scope(|scope| {
        let attached = scope.spawn(|| container.attach(&terminal, &terminal));
        keyboard.write_all(b"start\r").unwrap();
        wait_for(&mut screen, "20 80");
        assert!(!tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ICANON), "raw meanwhile");
        resize(21);
        // The kernel signals the foreground of that terminal, which this process is not.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH).unwrap();
        keyboard.write_all(b"hello\r").unwrap();
        wait_for(&mut screen, "got hello");
        wait_for(&mut screen, "21 80");
        attached.join().unwrap().unwrap();
    });
    assert!(tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ICANON), "as before");
    assert_eq!(container.wait().unwrap(), Exit::Code(5));
}

fn privileged_terminals_need_the_specification_to_agree() {
    let rootfs = Rootfs::new();
    let config = ContainerConfig { tty: true, ..rootfs.program(&["true"]) };
    assert!(start(&config).unwrap_err().to_string().contains("terminal"));
    let launch = Launch { stdio: Stdio::Pty { rows: 1, cols: 1 }, ..launch(&rootfs.program(&["true"])) };
    assert!(launch.start().unwrap_err().to_string().contains("terminal"));
}
