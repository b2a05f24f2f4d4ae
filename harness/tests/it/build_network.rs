//! The network of RUN, in a network namespace of the test's own: the host's network is not touched.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    networks::{Namespace, ask, busybox},
    place::{Answer, Place, program},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// An address of the host's that is not on the bridge.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// A host with one address besides loopback, where a web server and a name server answer; and an image of busybox.
struct Host {
    place: Place,
    namespace: Namespace,
}

impl Host {
    fn new() -> Self {
        let (place, namespace) = (Place::new(), Namespace::new());
        busybox(&place);
        for args in ["link add uplink type bridge", "address add 10.99.0.1/24 dev uplink", "link set uplink up"] {
            namespace.run("ip", &args.split(' ').collect::<Vec<_>>()).ok();
        }
        let resolver = "nameserver 127.0.0.53\nnameserver 10.99.0.1\n";
        fs::write(place.dir.path().join("resolv.conf"), resolver).unwrap();
        Self { place, namespace }
    }

    /// The program, with a resolv.conf of the test's.
    fn command(&self, args: &[&str]) -> Command {
        let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
        let mut command = self.namespace.command("unshare", &["--mount", "sh", "-c", script, "sh"]);
        command.arg(self.place.dir.path().join("resolv.conf")).arg(program());
        command.args([args[0], "--root"]).arg(self.place.root()).args(&args[1..]).current_dir(self.place.dir.path());
        command
    }

    fn build(&self, dockerfile: &str, options: &[&str]) -> Answer {
        Answer::of(&self.building(dockerfile, options).output().unwrap())
    }

    fn building(&self, dockerfile: &str, options: &[&str]) -> Command {
        let context = self.place.context(&[("Dockerfile", dockerfile)]);
        let mut command = self.command(&["build", "--driver", "vfs", "--progress", "plain", "--no-cache"]);
        command.args(options).arg(context);
        command
    }

    fn serve(&self) {
        let listener = self.namespace.within(|| TcpListener::bind((HOST, 80)).unwrap());
        thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
    }

    fn resolve(&self) {
        let socket = self.namespace.within(|| UdpSocket::bind((HOST, 53)).unwrap());
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut question) {
                socket.send_to(&address_of(&question[..length]), peer).unwrap();
            }
        });
    }

    fn wait_for_interfaces(&self, expected: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.namespace.interfaces().len() != expected {
            assert!(Instant::now() < deadline, "{:?}", self.namespace.interfaces());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn answer(stream: std::net::TcpStream) {
    let mut lines = BufReader::new(&stream).lines();
    while lines.next().is_some_and(|line| !line.unwrap_or_default().is_empty()) {}
    _ = (&stream).write_all(b"HTTP/1.0 200 OK\r\n\r\npackage\n");
}

/// The answer to a question (RFC 1035): 10.99.0.1 for IPv4, nothing for all else.
fn address_of(question: &[u8]) -> Vec<u8> {
    let is_ipv4 = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = u8::from(is_ipv4);
    if is_ipv4 {
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(HOST.octets());
    }
    answer
}

/// Kills and waits, whatever the test comes to.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn privileged_commands_fetch_packages_by_name() {
    let host = Host::new();
    host.serve();
    host.resolve();
    let fetch = ask("busybox", "10.99.0.1", "80");
    let dockerfile = format!(
        "FROM bb
RUN busybox nslookup packages.test | grep 10.99.0.1
RUN {fetch} > /package && grep package /package
RUN ! grep 127.0.0.53 /etc/resolv.conf && grep 10.99.0.1 /etc/resolv.conf && grep buildkitsandbox /etc/hosts
RUN --network=none test \"$(ls /sys/class/net)\" = lo
FROM scratch
COPY --from=0 /package /
"
    );
    let built = host.build(&dockerfile, &[]).ok();
    assert!(!built.err.contains("arning"), "{built:#?}");
    assert_eq!(host.namespace.interfaces(), ["lo", "uplink"]);
    host.build(&dockerfile, &["--network", "bridge"]).ok();
    host.build("FROM bb\nRUN test \"$(ls /sys/class/net)\" = lo\n", &["--network", "none"]).ok();
    host.build(&format!("FROM bb\nRUN {fetch} | grep package\n"), &["--network", "host"]).ok();
    host.build(&format!("FROM bb\nRUN {fetch} | grep package\n"), &["--network", "none"]).status_is(1);
}

/// Stages that run at the same time and use the same port.
#[test]
fn privileged_stages_have_networks_of_their_own() {
    let host = Host::new();
    let stage = "RUN httpd -p 8080 -h /bin && sleep 1\nRUN httpd -p 8080 -h /bin && echo done > /done\n";
    let dockerfile = format!(
        "FROM bb AS one\n{stage}FROM bb AS two\n{stage}FROM scratch\nCOPY --from=one /done /1\nCOPY --from=two /done /2\n"
    );
    host.build(&dockerfile, &["--jobs", "2"]).ok();
    assert_eq!(host.namespace.interfaces(), ["lo", "uplink"]);
}

/// A build that is killed gives nothing back itself.
#[test]
fn privileged_a_killed_builds_place_on_the_bridge_is_found() {
    let host = Host::new();
    let mut building = host.building("FROM bb\nRUN echo begun && sleep 1000\n", &[]);
    let mut running = Running(building.stderr(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(running.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("begun\n") || line.contains("RUN") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
    }
    assert_eq!(host.namespace.interfaces().len(), 4);
    drop(running);
    host.wait_for_interfaces(3);
    host.build("FROM bb\nRUN true\n", &[]).ok();
    assert_eq!(host.namespace.interfaces(), ["lo", "uplink"]);
}

#[test]
fn privileged_an_interrupted_build_leaves_nothing_on_the_bridge() {
    let host = Host::new();
    let mut building = host.building("FROM bb\nRUN sleep 1000\n", &[]);
    let mut running = Running(building.stderr(Stdio::piped()).spawn().unwrap());
    host.wait_for_interfaces(4);
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(130), "{said}");
    assert_eq!(host.namespace.interfaces(), ["lo", "uplink"]);
}
