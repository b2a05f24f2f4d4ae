//! Servers on the loopback interface, which end with their values.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Gives every request the answer that its path has.
pub struct Http {
    pub address: String,
    asked: Arc<Mutex<Vec<Option<String>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// `answers` are paths, header lines and bodies; other paths are not found.
    pub fn new(answers: Vec<(&'static str, &'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, heard) = (stop.clone(), asked.clone());
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let _ = answer(stream, &answers, &heard);
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// What it was told of who asked last.
    pub fn told(&self) -> Option<String> {
        self.asked.lock().unwrap().last().cloned().flatten()
    }
}

fn answer(
    stream: TcpStream,
    answers: &[(&str, &str, Vec<u8>)],
    asked: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    let mut told = None;
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        told = if name.eq_ignore_ascii_case("authorization") { Some(value.trim().to_owned()) } else { told };
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(told);
    let mut stream = reader.into_inner();
    match answers.iter().find(|(known, _, _)| *known == path) {
        Some((_, headers, body)) => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n")?;
            stream.write_all(body)
        }
        None => write!(stream, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// git-daemon(1) for the repositories below a directory.
pub struct GitDaemon {
    pub address: String,
    child: Child,
}

impl GitDaemon {
    pub fn new(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", dir.display()))
            .arg(dir)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install git");
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "git daemon does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Self { address: format!("git://127.0.0.1:{port}"), child }
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // git itself is a wrapper; its child ends when it is asked to, not when it is killed.
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
