//! Network namespaces to try things in: a host, its containers, and who is outside.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Command,
    sync::mpsc::{self, Sender},
    thread,
    time::{Duration, Instant},
};

use harness_network::{Attachment, Bridge, PublishedPort, parse_publish};
use nix::sched::{CloneFlags, unshare};

/// Longer than any answer takes that comes at all.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer is waited for that must not come.
pub const IMPATIENCE: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, and a thread in it.
pub struct Namespace {
    descriptor: OwnedFd,
    jobs: Sender<Job>,
}

impl Namespace {
    /// With its loopback interface up and nothing else.
    pub fn new() -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        let (sender, descriptor) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("run the test as root");
            ip("link set lo up");
            sender.send(OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())).unwrap();
            for job in received {
                job();
            }
        });
        Self { descriptor: descriptor.recv().unwrap(), jobs }
    }

    /// Does something in it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        self.jobs.send(Box::new(move || _ = sender.send(job()))).unwrap();
        result.recv().expect("the job panicked")
    }

    /// Something that runs iproute2's program in it.
    pub fn ip(&self, args: &str) -> String {
        let args = args.to_owned();
        self.run(move || ip(&args))
    }

    /// Answers every connection to `port` with the peer's address, until the namespace goes.
    pub fn serve(&self, port: u16) {
        self.serve_at(Ipv4Addr::UNSPECIFIED, port);
    }

    pub fn serve_at(&self, address: Ipv4Addr, port: u16) {
        let listener = self.run(move || TcpListener::bind((address, port)).unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let peer = stream.peer_addr().unwrap().ip().to_string();
                std::io::Write::write_all(&mut stream, peer.as_bytes()).unwrap();
            }
        });
    }

    /// Connects and says as whom the server saw this.
    pub fn ask(&self, address: Ipv4Addr, port: u16) -> std::io::Result<String> {
        self.ask_for(address, port, PATIENCE)
    }

    /// Whether nobody answers.
    pub fn is_unanswered(&self, address: Ipv4Addr, port: u16) -> bool {
        self.ask_for(address, port, IMPATIENCE).is_err()
    }

    fn ask_for(&self, address: Ipv4Addr, port: u16, patience: Duration) -> std::io::Result<String> {
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut seen = String::new();
            std::io::Read::read_to_string(&mut stream, &mut seen)?;
            Ok(seen)
        })
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Runs iproute2's program in the thread's namespace.
pub fn ip(args: &str) -> String {
    let output = Command::new("ip").args(args.split_whitespace()).output().expect("install iproute2");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "ip {args}: {}", text(output.stderr));
    text(output.stdout)
}

/// A host with a bridge's directory.
pub struct Host {
    pub namespace: Namespace,
    pub dir: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Self {
        Self { namespace: Namespace::new(), dir: tempfile::tempdir().unwrap() }
    }

    /// With somebody outside, at 10.77.0.2; the host itself is 10.77.0.1 there.
    pub fn with_outside() -> (Self, Namespace) {
        let (host, outside) = (Self::new(), Namespace::new());
        let descriptor = outside.descriptor().try_clone_to_owned().unwrap();
        host.namespace.run(move || {
            use std::os::fd::AsRawFd;
            let path = format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd());
            ip(&format!("link add uplink type veth peer name uplink netns {path}"));
            ip("address add 10.77.0.1/24 dev uplink");
            ip("link set uplink up");
            ip("route add default via 10.77.0.2");
        });
        outside.ip("address add 10.77.0.2/24 dev uplink");
        outside.ip("link set uplink up");
        (host, outside)
    }

    /// Gives a container's namespace its place.
    pub fn attach(&self, id: &str, container: &Namespace, ports: &[&str]) -> harness_network::Result<Attachment> {
        let bridge = Bridge::open(self.dir.path()).unwrap();
        let ports: Vec<PublishedPort> = ports.iter().flat_map(|port| parse_publish(port).unwrap()).collect();
        let (id, descriptor) = (id.to_owned(), container.descriptor().try_clone_to_owned().unwrap());
        self.namespace.run(move || bridge.attach(&id, descriptor.as_fd(), &ports, None))
    }

    /// A new container.
    pub fn container(&self, id: &str, ports: &[&str]) -> (Namespace, Attachment) {
        let container = Namespace::new();
        let attachment = self.attach(id, &container, ports).unwrap();
        (container, attachment)
    }

    pub fn detach(&self, id: &str) {
        let (bridge, id) = (Bridge::open(self.dir.path()).unwrap(), id.to_owned());
        self.namespace.run(move || bridge.detach(&id)).unwrap();
    }

    /// What `harness gc` would print, if the containers in `alive` live.
    pub fn gc(&self, alive: &'static [&'static str]) -> Vec<String> {
        let dir = self.dir.path().to_owned();
        let left = self.namespace.run(move || harness_network::gc(&dir, &|id| alive.contains(&id))).unwrap();
        left.into_iter().map(|left| format!("{}: {}", left.kind, left.what)).collect()
    }

    /// Names of its interfaces.
    pub fn interfaces(&self) -> Vec<String> {
        let lines = self.namespace.ip("-o link show");
        let name = |line: &str| line.split(": ").nth(1).unwrap().split('@').next().unwrap().to_owned();
        lines.lines().map(name).collect()
    }

    /// Waits for the kernel, which removes a dead container's interface in its own time.
    pub fn wait_until_gone(&self, interface: &str) {
        let start = Instant::now();
        while self.interfaces().iter().any(|name| name == interface) {
            assert!(start.elapsed() < Duration::from_secs(120), "{interface} stays");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
