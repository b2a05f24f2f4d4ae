//! Containers on a terminal: script(1) is the terminal.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, Place, program};

/// What `words` of this program's show on a terminal of 33 rows and 77 columns; the status is theirs. Once `ready` is shown,
/// `typed` is typed there, again and again: what comes before a program has set its terminal up is lost.
fn on_terminal(place: &Place, words: &str, ready: &str, typed: &str) -> Answer {
    let (program, root) = (program(), place.root());
    let (command, rest) = words.split_once(' ').unwrap();
    let line = format!("stty rows 33 cols 77; exec {} {command} --root {} {rest}", program.display(), root.display());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = screen.read(&mut buffer) {
            seen.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    });
    let text = || String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
    let patience = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = script.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < patience, "{words}: {:?}", text());
        if !typed.is_empty() && text().contains(ready) {
            let _ = keys.write_all(typed.as_bytes());
        }
        thread::sleep(Duration::from_millis(100));
    };
    reader.join().unwrap();
    Answer { status: status.code().unwrap_or(-1), out: text(), err: String::new() }
}

const LOOK: &str = "'tty; stty size; test -t 0 -a -t 1 -a -t 2 && exit 7'";

#[test]
fn privileged_run_and_exec_have_the_terminal_and_its_size() {
    let place = Place::new();
    place.container(&["-d", "--name", "there"], &["host", "sleep", "1000"]).ok();
    for words in [&format!("run --rm -it --network none host sh -c {LOOK}"), &format!("exec -it there sh -c {LOOK}")] {
        let shown = on_terminal(&place, words, "", "").status_is(7);
        assert!(shown.out.contains("/dev/pts/0\r\n33 77\r\n"), "{words}: {shown:?}");
    }
}

#[test]
fn privileged_what_is_typed_reaches_the_container_that_is_attached_to() {
    let place = Place::new();
    place.container(&["-d", "-i", "-t", "--name", "shell"], &["host", "sh"]).ok();
    let shown = on_terminal(&place, "attach shell", "", "echo $((40 + 2))th; exit 5\n").status_is(5);
    assert!(shown.out.contains("42th"), "{shown:?}");
    assert_eq!(place.run(&["wait", "shell"]).ok().out, "5\n");
    // ETX is the terminal's key for SIGINT (termios(3)).
    let script = "'trap \"exit 9\" INT; echo ready; while :; do sleep 0.05; done'";
    on_terminal(&place, &format!("run --rm -it --network none host sh -c {script}"), "ready", "\u{3}").status_is(9);
}

#[test]
fn privileged_who_leaves_a_terminal_by_its_keys_leaves_the_container_running() {
    let place = Place::new();
    place.container(&["-d", "-i", "-t", "--name", "shell"], &["host", "sh"]).ok();
    on_terminal(&place, "attach shell", "", "\u{10}\u{11}").status_is(0);
    on_terminal(&place, "attach --detach-keys ctrl-a,x shell", "", "\u{1}x").status_is(0);
    assert!(place.run(&["ps"]).ok().out.contains("shell"));
    // The first ctrl-p was typed while a ctrl-q was the terminal's own, so it is on the shell's line.
    let shown = on_terminal(&place, "attach shell", "", "\necho s$((1 + 1))ll; exit 4\n").status_is(4);
    assert!(shown.out.contains("s2ll"), "{shown:?}");
    place.run(&["attach", "--detach-keys", "nonsense", "shell"]).status_is(2).says("nonsense");
}

#[test]
fn privileged_who_leaves_what_runs_in_front_leaves_it_running() {
    let place = Place::new();
    let left = "run -it --name left --network none host sh -c 'echo ready; cat'";
    on_terminal(&place, left, "ready", "\u{10}\u{11}").status_is(0);
    let told = "{{.State.Status}} {{.HostConfig.AutoRemove}}";
    assert_eq!(place.run(&["inspect", "-f", told, "left"]).ok().out, "running false\n");
    place.run(&["stop", "-t", "0", "left"]).ok();
    let again = "start -ai --detach-keys ctrl-a,x left";
    on_terminal(&place, again, "ready", "\u{1}x").status_is(0);
    // Who comes back is there for its end, and what is typed is its.
    on_terminal(&place, "attach left", "", "\u{3}").status_is(130);
    // What goes with its end has gone by the time that the status is told.
    for round in 0..3 {
        let words = format!("run --rm -it --name once --network none host sh -c 'exit {round}'");
        on_terminal(&place, &words, "", "").status_is(round);
    }
    let missing = on_terminal(&place, "run --rm -it --network none host no-such-program", "", "").status_is(127);
    assert!(missing.out.contains("no-such-program"), "{missing:?}");
    assert_eq!(place.run(&["ps", "-aq"]).ok().out.lines().count(), 1);
}
