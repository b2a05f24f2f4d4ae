//! Containers in the background: their supervisors, their state, and the commands on them.

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, DRIVERS, Place};

/// A container that ends when it is asked to, and says what it was asked.
const POLITE: &str = "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.05; done";

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn detach(place: &Place, options: &[&str], script: &str) -> String {
    let ran = place.container(&[&["-d"], options].concat(), &["host", "sh", "-c", script]).ok();
    ran.out.trim().to_owned()
}

fn field(place: &Place, name: &str, template: &str) -> String {
    place.run(&["inspect", "--format", template, name]).ok().out.trim().to_owned()
}

fn logs(place: &Place, name: &str) -> String {
    place.run(&["logs", name]).ok().out
}

#[test]
fn privileged_a_container_lives_without_its_command() {
    for driver in DRIVERS {
        let place = Place::new();
        let id = detach(&place, &["--driver", driver, "--name", "web"], POLITE);
        assert_eq!(id.len(), 32);
        assert_eq!(place.run(&["ps", "--no-trunc", "-q"]).ok().out.trim(), id);
        until("the first line", || logs(&place, "web") == "begun\n");

        // The driver is nobody's meanwhile.
        place.container(&["--driver", driver, "--rm"], &["host", "true"]).ok();
        place.run(&["gc"]).ok();
        let inside = place.with_words(
            "exec",
            &["-e", "A=b", "-w", "/tmp", "-u", "33"],
            &["web", "sh", "-c", "id -u; pwd; echo $A"],
        );
        assert_eq!(inside.ok().out, "33\n/tmp\nb\n");
        place.with_words("exec", &[], &["web", "sh", "-c", "exit 9"]).status_is(9);
        place.with_words("exec", &[], &["web", "nosuchprogram"]).status_is(127).says("nosuchprogram");
        place.with_words("exec", &["-d"], &["web", "sh", "-c", "echo left > /left; exec sleep 100"]).ok();
        until("what was left running", || place.with_words("exec", &[], &["web", "test", "-s", "/left"]).status == 0);
        let top = place.run(&["top", "web"]).ok().out;
        assert!(top.contains("sleep 100") && top.contains("trap"), "{top}");

        place.run(&["rm", "web"]).status_is(1).says("web is running; stop it first, or use --force");
        let waiting = place.command(&["wait", "web"]).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(place.run(&["stop", "web"]).ok().out, "web\n");
        assert_eq!(Answer::of(&waiting.wait_with_output().unwrap()).out, "3\n");
        assert_eq!(logs(&place, "web"), "begun\nasked\n");
        assert_eq!(field(&place, "web", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}"), "exited 3 0");
        assert_eq!(place.run(&["wait", "web"]).ok().out, "3\n");
        place.with_words("exec", &[], &["web", "true"]).status_is(1).says("not running");

        // Its layer is as it was.
        place.run(&["start", "web"]).ok();
        place.with_words("exec", &[], &["web", "cat", "/left"]).ok();
        place.run(&["restart", "-t", "1", "web"]).ok();
        assert_eq!(field(&place, "web", "{{.State.Status}}"), "running");
        place.run(&["kill", "-s", "TERM", "web"]).ok();
        assert_eq!(place.run(&["wait", "web"]).ok().out, "3\n");
        place.run(&["rename", "web", "other"]).ok();
        place.run(&["stop", "web"]).status_is(1).says("no such container");
        place.run(&["rm", "other"]).ok();
        assert!(place.run(&["ps", "-aq"]).ok().out.is_empty());
    }
}

#[test]
fn privileged_one_that_cannot_be_started_says_why() {
    let place = Place::new();
    let run = |words: &[&str]| place.container(&["-d", "--name", "wrong"], words);
    run(&["host", "nosuchprogram"]).status_is(127).says("nosuchprogram");
    assert_eq!(field(&place, "wrong", "{{.State.Status}} {{.State.ExitCode}}"), "exited 127");
    run(&["host", "true"]).status_is(125).says("a container named wrong already");
    place.run(&["start", "wrong"]).status_is(127).says("nosuchprogram");
    place.run(&["rm", "wrong"]).ok();
    run(&["host", "/etc/passwd"]).status_is(126);
    for (options, says) in [
        (["--ulimit", "nofile"], "NAME=VALUE"),
        (["--restart", "sometimes"], "no restart policy"),
        (["--network", "moon"], "no network moon"),
        (["--stop-signal", "SIGNOT"], "no signal"),
        (["--cap-add", "FLY"], "FLY"),
        (["--name", "../x"], "container name"),
    ] {
        place.container(&options, &["host", "true"]).status_is(125).says(says);
    }
    assert_eq!(place.run(&["ps", "-aq"]).ok().out.lines().count(), 1, "nothing is made of wrong options");
}

#[test]
fn privileged_it_is_made_without_being_started() {
    let place = Place::new();
    let made = place.with_words(
        "create",
        &["--name", "later", "-v", "/data"],
        &["host", "sh", "-c", "echo ran > /data/x; exit 4"],
    );
    assert_eq!(made.ok().out.trim().len(), 32);
    assert_eq!(field(&place, "later", "{{.State.Status}}"), "created");
    assert!(place.run(&["ps", "-q"]).ok().out.is_empty());
    place.run(&["start", "--attach", "later"]).status_is(4);
    assert_eq!(place.run(&["volume", "ls", "-q"]).ok().out.lines().count(), 1);
    place.run(&["rm", "--volumes", "later"]).ok();
    assert!(place.run(&["volume", "ls", "-q"]).ok().out.is_empty());
}

#[test]
fn privileged_policies_start_it_again() {
    let place = Place::new();
    detach(&place, &["--name", "fails", "--restart", "on-failure:2"], "echo run; exit 5");
    assert_eq!(place.run(&["wait", "fails"]).ok().out, "5\n");
    assert_eq!(logs(&place, "fails"), "run\nrun\nrun\n");
    assert_eq!(field(&place, "fails", "{{.RestartCount}}"), "2");
    detach(&place, &["--name", "works", "--restart", "on-failure"], "echo run");
    assert_eq!(place.run(&["wait", "works"]).ok().out, "0\n");
    assert_eq!(logs(&place, "works"), "run\n");
    detach(&place, &["--name", "always", "--restart", "always"], "echo run; sleep 0.05");
    until("a second run", || logs(&place, "always").lines().count() > 1);
    place.run(&["stop", "always"]).ok();
    assert_eq!(field(&place, "always", "{{.State.Status}}"), "exited");
    place.container(&["--rm", "--restart", "always"], &["host", "true"]).status_is(125).says("contradict");
}

/// A machine that goes down ends supervisors by SIGTERM, and kills what does not end.
#[test]
fn privileged_policies_start_it_with_the_machine() {
    let place = Place::new();
    let names = ["no", "on-failure", "always", "unless-stopped", "stopped", "killed"];
    for name in names {
        let policy = if name == "stopped" || name == "killed" { "unless-stopped" } else { name };
        detach(&place, &["--name", name, "--restart", policy], "exec sleep 1000");
    }
    place.run(&["stop", "-t", "0", "stopped"]).ok();
    for (name, signal) in names.map(|name| (name, if name == "killed" { "-KILL" } else { "-TERM" })) {
        let supervisor = field(&place, name, "{{.State.SupervisorPid}}");
        if name == "stopped" {
            continue;
        }
        assert!(std::process::Command::new("kill").args([signal, &supervisor]).status().unwrap().success());
    }
    let running = || place.run(&["ps", "-q"]).ok().out.lines().count();
    until("the end of all", || running() == 0);
    place.run(&["start", "--by-policy"]).ok();
    let status = |name| field(&place, name, "{{.State.Status}}");
    for name in ["always", "unless-stopped", "killed"] {
        assert_eq!(status(name), "running", "{name}");
    }
    assert_eq!((running(), status("stopped").as_str()), (3, "exited"));
}

#[test]
fn privileged_one_that_is_to_vanish_does() {
    for driver in DRIVERS {
        let place = Place::new();
        detach(&place, &["--driver", driver, "--name", "brief", "--rm", "-v", "/data"], "sleep 0.2");
        until("its end", || place.run(&["ps", "-aq"]).ok().out.is_empty());
        until("its volume's", || place.run(&["volume", "ls", "-q"]).ok().out.is_empty());
        detach(&place, &["--driver", driver, "--name", "forced", "--rm"], "sleep 100");
        place.run(&["rm", "--force", "forced"]).ok();
        place.run(&["rm", "--force", "forced"]).ok();
        assert!(place.run(&["ps", "-aq"]).ok().out.is_empty());
        assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
    }
}

#[test]
fn privileged_a_killed_supervisor_takes_its_container_along() {
    for driver in DRIVERS {
        let place = Place::new();
        detach(&place, &["--driver", driver, "--name", "orphan"], "echo kept > /kept; exec sleep 100");
        let (supervisor, pid) =
            (field(&place, "orphan", "{{.State.SupervisorPid}}"), field(&place, "orphan", "{{.State.Pid}}"));
        assert!(std::process::Command::new("kill").args(["-9", &supervisor]).status().unwrap().success());
        until("the end of its process", || !fs::exists(format!("/proc/{pid}")).unwrap());
        assert_eq!(field(&place, "orphan", "{{.State.Status}}"), "dead");
        assert_eq!(place.run(&["wait", "orphan"]).ok().out, "255\n");
        place.run(&["gc"]).ok();
        place.run(&["start", "orphan"]).ok();
        until("its file", || place.with_words("exec", &[], &["orphan", "cat", "/kept"]).status == 0);
        place.run(&["rm", "-f", "orphan"]).ok();
    }
}

#[test]
fn privileged_frozen_containers_wait_and_can_be_stopped() {
    let place = Place::new();
    detach(&place, &["--name", "cold"], "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done");
    until("a line", || !logs(&place, "cold").is_empty());
    place.run(&["pause", "cold"]).ok();
    assert_eq!(field(&place, "cold", "{{.State.Status}}"), "paused");
    thread::sleep(Duration::from_millis(100));
    let before = logs(&place, "cold");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(logs(&place, "cold"), before);
    place.with_words("exec", &[], &["cold", "true"]).status_is(1).says("unpause");
    place.run(&["pause", "cold"]).status_is(1).says("paused already");
    place.run(&["unpause", "cold"]).ok();
    until("another line", || logs(&place, "cold") != before);
    place.run(&["pause", "cold"]).ok();
    place.run(&["stop", "-t", "0", "cold"]).ok();
    assert_eq!(field(&place, "cold", "{{.State.ExitCode}}"), "137");
    place.run(&["unpause", "cold"]).status_is(1).says("not running");
}

#[test]
fn privileged_logs_are_followed_and_cut() {
    let place = Place::new();
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done";
    detach(&place, &["--name", "talks"], script);
    let followed = place.run(&["logs", "--follow", "talks"]).ok();
    assert_eq!((followed.out.as_str(), followed.err.as_str()), ("out 1\nout 2\nout 3\n", "err 1\nerr 2\nerr 3\n"));
    assert_eq!(place.run(&["logs", "-n", "2", "talks"]).ok().out, "out 3\n");
    let stamped = place.run(&["logs", "--timestamps", "--since", "1h", "talks"]).ok().out;
    assert!(stamped.lines().all(|line| line.contains("T") && line.contains(" out ")), "{stamped}");
    assert!(place.run(&["logs", "--until", "2020-01-01T00:00:00Z", "talks"]).ok().out.is_empty());
    place.run(&["logs", "--since", "yesterday", "talks"]).status_is(2).says("no time");
    detach(&place, &["--name", "mute", "--log-driver", "none"], "echo x");
    place.run(&["logs", "mute"]).status_is(1).says("keeps no log");
    // In the foreground it is kept, too.
    place.container(&["--name", "front"], &["host", "echo", "seen"]).ok();
    assert_eq!(logs(&place, "front"), "seen\n");
}

#[test]
fn privileged_people_attach_to_it() {
    let place = Place::new();
    detach(&place, &["-i", "--name", "echo"], "while read line; do echo \"heard $line\"; done; exit 6");
    let mut attached = place.command(&["attach", "echo"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = attached.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    until("an answer", || logs(&place, "echo") == "heard one\n");
    place.run(&["stop", "-t", "0", "echo"]).ok();
    let answer = Answer::of(&attached.wait_with_output().unwrap()).status_is(137);
    assert_eq!(answer.out, "heard one\n");
    drop(input);
    place.run(&["attach", "echo"]).status_is(1).says("not running");
}

#[test]
fn privileged_signals_may_end_the_command_alone() {
    let place = Place::new();
    let words = ["run", "-i", "--sig-proxy=false", "--name", "kept", "--network", "none", "host", "sh", "-c", POLITE];
    let mut command = place.command(&words);
    let mut command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    until("its start", || place.run(&["logs", "kept"]).out == "begun\n");
    let pid = rustix::process::Pid::from_child(&command);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(command.wait().unwrap().signal(), Some(15));
    assert_eq!(field(&place, "kept", "{{.State.Status}}"), "running");
    place.run(&["stop", "kept"]).ok();
    assert_eq!(logs(&place, "kept"), "begun\nasked\n");
    // Its end, its output and its status are told all the same, and its input has an end.
    let words =
        ["--sig-proxy=false", "--rm", "-i", "--network", "none", "host", "sh", "-c", "wc -c; echo oh >&2; exit 6"];
    let mut command = place.command(&[&["run"], &words[..]].concat());
    let mut command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    command.stdin.take().unwrap().write_all(b"12345").unwrap();
    let answer = Answer::of(&command.wait_with_output().unwrap()).status_is(6);
    assert_eq!((answer.out.trim(), answer.err.trim()), ("5", "oh"));
}

#[test]
fn privileged_only_the_streams_that_are_meant_are_the_commands() {
    let place = Place::new();
    let script = ["host", "sh", "-c", "echo out; echo err >&2"];
    for log in ["json-file", "none"] {
        for (streams, shown) in [("stdout", ("out\n", "")), ("STDERR", ("", "err\n")), ("stdin", ("", ""))] {
            let answer = place.container(&["--rm", "--log-driver", log, "-a", streams], &script).ok();
            assert_eq!((answer.out.as_str(), answer.err.as_str()), shown, "{log} {streams}");
        }
    }
    let answer = place.container(&["--name", "both", "-a", "stdout", "-a", "stderr"], &script).ok();
    assert_eq!((answer.out.as_str(), answer.err.as_str()), ("out\n", "err\n"));
    place.container(&["--name", "half", "-a", "stderr", "--sig-proxy=false"], &script).ok().says("err");
    // What is not shown is logged.
    assert_eq!(logs(&place, "half"), "out\n");
    place.container(&["-d", "-a", "stdout"], &script).status_is(2).says("cannot be used with");
    place.container(&["-a", "output"], &script).status_is(2).says("stdin");
}

#[test]
fn privileged_health_is_checked() {
    let place = Place::new();
    let often = ["--health-interval", "50ms", "--health-retries", "2"];
    let check = ["--name", "ill", "--health-cmd", "test ! -e /ill || { echo fever; exit 1; }"];
    detach(&place, &[&check[..], &often].concat(), "exec sleep 100");
    let status = || field(&place, "ill", "{{.State.Health.Status}}");
    until("health", || status() == "healthy");
    place.with_words("exec", &[], &["ill", "touch", "/ill"]).ok();
    until("illness", || status() == "unhealthy");
    assert!(field(&place, "ill", "{{json .State.Health.Log}}").contains("fever"));
    assert!(place.run(&["ps", "--filter", "health=unhealthy"]).ok().out.contains("(unhealthy)"));
    place.with_words("exec", &[], &["ill", "rm", "/ill"]).ok();
    until("recovery", || status() == "healthy");
    // Of the image, and too slow.
    let dockerfile = "FROM host\nHEALTHCHECK --interval=50ms --timeout=100ms --retries=1 CMD sleep 10\nCMD sleep 100\n";
    let context = place.context(&[("Dockerfile", dockerfile)]);
    place.run(&["build", "-t", "slow", context.to_str().unwrap()]).ok();
    place.container(&["-d", "--name", "slow"], &["slow"]).ok();
    until("the time-out", || field(&place, "slow", "{{.State.Health.Status}}") == "unhealthy");
    assert!(field(&place, "slow", "{{json .State.Health.Log}}").contains("exceeded timeout"));
}

#[test]
fn privileged_volumes_are_shared_filled_and_kept() {
    let place = Place::new();
    let context = place
        .context(&[("Dockerfile", "FROM host\nRUN mkdir /d && echo image > /d/f && chown 7:8 /d/f\nVOLUME /own\n")]);
    place.run(&["build", "-t", "v", context.to_str().unwrap()]).ok();
    let run =
        |options: &[&str], script: &str| place.container(&[&["--rm"], options].concat(), &["v", "sh", "-c", script]);
    assert_eq!(run(&["-v", "data:/d"], "cat /d/f; stat -c %u:%g /d/f; echo more > /d/g").ok().out, "image\n7:8\n");
    assert_eq!(
        run(&["-v", "data:/e:ro"], "cat /e/g; touch /e/h 2>/dev/null || echo read-only").ok().out,
        "more\nread-only\n"
    );
    assert_eq!(run(&["--mount", "type=volume,source=bare,target=/d,volume-nocopy"], "ls /d | wc -l").ok().out, "0\n");
    assert_eq!(run(&["--mount", "type=tmpfs,target=/t,tmpfs-size=1m"], "stat -f -c %T /t").ok().out, "tmpfs\n");
    assert_eq!(place.run(&["volume", "ls", "-q"]).ok().out, "bare\ndata\n", "those without a name are gone");
    place.container(&["--name", "user", "-v", "data:/d"], &["v", "true"]).ok();
    place.run(&["volume", "rm", "data"]).status_is(1).says("container user's");
    place.run(&["rm", "-v", "user"]).ok();
    place.run(&["volume", "rm", "data", "bare"]).ok();
    place.run(&["volume", "rm", "data"]).status_is(1).says("no such volume");
    // The image's own links do not lead out of it.
    let context = place.context(&[("Dockerfile", "FROM host\nRUN rm -rf /d && ln -s /etc /d\n")]);
    place.run(&["build", "-t", "link", context.to_str().unwrap()]).ok();
    fs::write(place.dir.path().join("host-secret"), "x").unwrap();
    let listed = place.container(&["--rm", "-v", "linked:/d"], &["link", "ls", "/d"]).ok().out;
    assert!(!listed.contains("host-secret"));
}

#[test]
fn privileged_lists_are_filtered_and_filled_in() {
    let place = Place::new();
    detach(&place, &["--name", "one", "-l", "tier=front"], "sleep 100");
    place.container(&["--name", "two", "-l", "tier=back"], &["host", "sh", "-c", "exit 2"]).status_is(2);
    let names = |filters: &[&str]| {
        let mut args = vec!["ps", "-a", "--format", "{{.Names}}"];
        for filter in filters {
            args.extend(["--filter", filter]);
        }
        place.run(&args).ok().out
    };
    for (filters, expected) in [
        (&["status=running"][..], "one\n"),
        (&["exited=2"], "two\n"),
        (&["label=tier"], "two\none\n"),
        (&["label=tier=back"], "two\n"),
        (&["name=on", "name=tw"], "two\none\n"),
        (&["name=one", "status=exited"], ""),
        (&["ancestor=host"], "two\none\n"),
    ] {
        assert_eq!(names(filters), expected, "{filters:?}");
    }
    assert_eq!(place.run(&["ps", "-l", "--format", "{{.Names}} {{.State}}"]).ok().out, "two exited\n");
    place.run(&["ps", "--filter", "colour=red"]).status_is(2).says("no filter is named \"colour\"");
    place.run(&["ps", "-a", "--format", "{{.Nme}}"]).status_is(2).says("no field Nme");
    place.run(&["inspect", "nothing"]).status_is(1).says("no such container or image: nothing");
    assert!(place.run(&["inspect", "host"]).ok().out.contains("\"RepoTags\""));
    let stats = place.run(&["stats", "--no-stream", "--format", "json"]).ok().out;
    assert!(stats.contains("\"Name\":\"one\"") && !stats.contains("\"MemoryBytes\":null"), "{stats}");
}
