//! Builds of what is at an address.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, Place, entries};

/// A repository that git-daemon(1) serves, until the value goes.
struct Served {
    daemon: Child,
    url: String,
}

impl Served {
    fn new(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let line = "git init -q -b main repo.git && cd repo.git && mkdir sub && \
                    printf 'FROM scratch\nCOPY --from=more / /more/\nCOPY file /\n' > sub/Dockerfile && echo content > sub/file && git add . && \
                    git -c user.name=A -c user.email=a@example.org commit -qm one";
        let made = Command::new("sh").args(["-c", line]).current_dir(dir).status();
        assert!(made.unwrap().success(), "install git");
        let daemon = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", dir.display()))
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "git daemon does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Self { daemon, url: format!("git://127.0.0.1:{port}/repo.git") }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // git itself is a wrapper; its child ends when it is asked to, not when it is killed.
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
    }
}

#[test]
fn privileged_a_build_takes_what_an_address_has() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let served = Served::new(dir.path());
    let context = format!("{}#main:sub", served.url);
    let more = format!("more={}#main:sub", served.url);
    let out = place.dir.path().join("out");
    let args = ["build", "--driver", "vfs", "--build-context", &more, "-o", out.to_str().unwrap(), &context];
    place.run(&args).ok();
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "content\n");
    assert_eq!(fs::read_to_string(out.join("more/file")).unwrap(), "content\n");
    // The Dockerfile on standard input, and another one of the context's.
    let dockerfile = place.dir.path().join("other");
    fs::write(&dockerfile, "FROM scratch\nCOPY file /streamed\n").unwrap();
    let mut command = place.command(&["build", "--driver", "vfs", "-f", "-", "-o", out.to_str().unwrap(), &context]);
    let built = command.stdin(fs::File::open(&dockerfile).unwrap()).output().unwrap();
    Answer::of(&built).ok();
    assert!(out.join("streamed").is_file());
    place.run(&["build", "--driver", "vfs", "-f", "none", &context]).status_is(1).says("has no file none");
    place
        .run(&["build", "--driver", "vfs", &format!("{}#none", served.url)])
        .status_is(2)
        .says("no branch or tag none");
    assert_eq!(entries(&place.root().join("images/downloads")), 0);
}
