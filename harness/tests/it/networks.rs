//! Containers on a bridge, in a network namespace of the test's own: the host's network is not touched.

use std::{
    fs,
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, Place, program};

/// A network namespace with loopback, alive as long as a process in it.
pub struct Namespace(Child);

impl Namespace {
    pub fn new() -> Self {
        let script = "ip link set lo up && echo ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("install util-linux");
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        assert_eq!(line, "ready\n", "install iproute2");
        Self(child)
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg(program).args(args);
        command
    }

    pub fn run(&self, program: &str, args: &[&str]) -> Answer {
        Answer::of(&self.command(program, args).output().unwrap())
    }

    /// Makes something, such as a socket, that belongs to it.
    pub fn within<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(namespace.as_fd(), None).unwrap();
                make()
            });
            inside.join().unwrap()
        })
    }

    /// Names of its interfaces.
    pub fn interfaces(&self) -> Vec<String> {
        let lines = self.run("ip", &["-brief", "link"]).ok().out;
        lines.lines().map(|line| line.split([' ', '@']).next().unwrap_or_default().to_owned()).collect()
    }

    fn harness(&self, place: &Place, command: &str, args: &[&str]) -> Answer {
        let root = place.root();
        let args = [&[command, "--root", root.to_str().unwrap()], args].concat();
        self.run(program().to_str().unwrap(), &args)
    }

    /// What a web server answers, from its headers on.
    fn fetch(&self, address: &str, port: &str) -> String {
        self.run("sh", &["-c", &ask("/bin/busybox", address, port)]).out
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An image of busybox alone, which can serve and fetch.
pub fn busybox(place: &Place) {
    let rootfs = place.dir.path().join("rootfs");
    fs::create_dir_all(rootfs.join("bin")).unwrap();
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("install busybox-static");
    for name in ["sh", "httpd", "mkdir", "cat", "sleep", "ls", "nc", "nslookup", "grep", "printf"] {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).unwrap();
    }
    let tar = place.dir.path().join("busybox.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&rootfs).arg(".").status().unwrap();
    assert!(made.success());
    place.run(&["import", tar.to_str().unwrap(), "bb"]).ok();
}

/// A line of a shell's. (The static busybox of some distributions has a wget that does not get to its request.)
pub fn ask(busybox: &str, address: &str, port: &str) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | {busybox} nc -w 3 {address} {port}")
}

const SERVE: &str = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www";

#[test]
fn privileged_containers_on_a_bridge_reach_each_other_and_are_reached() {
    let place = Place::new();
    busybox(&place);
    let namespace = Namespace::new();
    let serve = ["-d", "--name", "web", "-p", "8080:80", "bb", "sh", "-c", SERVE];
    namespace.harness(&place, "run", &serve).ok();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !namespace.fetch("127.0.0.1", "8080").ends_with("\nhello\n") {
        assert!(Instant::now() < deadline, "the published port does not answer");
        thread::sleep(Duration::from_millis(50));
    }
    let image = place.context(&[("Dockerfile", "FROM bb\nEXPOSE 80 81/udp\n")]);
    place.run(&["build", "-q", "--network", "none", "-t", "exposing", image.to_str().unwrap()]).ok();
    namespace.harness(&place, "run", &["-d", "--name", "all", "-P", "exposing", "sh", "-c", SERVE]).ok();
    let all = place.run(&["ps"]).ok().out;
    let all = all.lines().find(|line| line.contains("exposing")).unwrap().to_owned();
    assert!(all.contains("->80/tcp") && all.contains("->81/udp"), "{all}");
    namespace.harness(&place, "rm", &["-f", "all"]).ok();
    let ps = place.run(&["ps"]).ok().out;
    assert!(ps.contains("0.0.0.0:8080->80/tcp"), "{ps}");
    let address = place.run(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]).ok().out;
    let published = "{{range $port, $to := .NetworkSettings.Ports}}{{$port}}={{(index $to 0).HostPort}}{{end}} \
                     {{with .NetworkSettings.Networks.bridge}}{{.IPAddress}}/{{.IPPrefixLen}}{{end}}";
    let told = place.run(&["inspect", "-f", published, "web"]).ok().out;
    assert_eq!(told, format!("80/tcp=8080 {}/16\n", address.trim()));
    for (args, expected) in
        [(&["port", "web"][..], "80/tcp -> 0.0.0.0:8080\n"), (&["port", "web", "80"], "0.0.0.0:8080\n")]
    {
        assert_eq!(place.run(args).ok().out, expected, "{args:?}");
    }
    place.run(&["port", "web", "80/udp"]).status_is(1).says("publishes no port 80/udp");
    let traffic = place.run(&["stats", "--no-stream", "--format", "{{.NetReceivedBytes}}", "web"]).ok().out;
    assert!(traffic.trim().parse::<u64>().unwrap() > 100, "{traffic}");
    let client = |network: &str, address: &str| {
        let asked = ask("busybox", address, "80");
        namespace.harness(&place, "run", &["--rm", "--network", network, "bb", "sh", "-c", &asked])
    };
    assert!(client("bridge", address.trim()).ok().out.ends_with("\nhello\n"));
    assert!(client("container:web", "127.0.0.1").ok().out.ends_with("\nhello\n"));
    let mac = ["--rm", "--network", "bridge", "--mac-address", "92:d0:c6:0a:29:33"];
    let mac = namespace.harness(&place, "run", &[&mac[..], &["bb", "cat", "/sys/class/net/eth0/address"]].concat());
    assert_eq!(mac.ok().out, "92:d0:c6:0a:29:33\n");
    let hosts = namespace.harness(
        &place,
        "run",
        &["--rm", "--network", "bridge", "--hostname", "me", "--add-host", "db:10.1.2.3", "bb", "cat", "/etc/hosts"],
    );
    let hosts = hosts.ok().out;
    assert!(hosts.contains("10.1.2.3\tdb") && hosts.contains("\tme"), "{hosts}");

    let taken = ["-d", "--network", "bridge", "-p", "8080:80", "bb", "sleep", "9"];
    namespace.harness(&place, "run", &taken).status_is(125).says("8080");
    namespace.harness(&place, "stop", &["-t", "0", "web"]).ok();
    assert_eq!(namespace.fetch("127.0.0.1", "8080"), "");
    client("container:web", "127.0.0.1").status_is(125).says("not running");
    // The last one takes the bridge along.
    let links = namespace.run("ip", &["-brief", "link"]).ok().out;
    assert_eq!(links.lines().count(), 1, "{links}");
    for (options, says) in [
        (["--publish=80", "--network=none"], "needs --network bridge"),
        (["--publish-all", "--network=host"], "needs --network bridge"),
        (["--network", "container:nobody"], "no such container"),
        (["--mac-address=92:d0:c6:0a:29:33", "--network=none"], "needs --network bridge"),
        (["--mac-address=93:d0:c6:0a:29:33", "--network=bridge"], "its first byte is odd"),
        (["--add-host", "db"], "name:address"),
    ] {
        place.container(&options, &["bb", "sh"]).status_is(125).says(says);
    }
}

#[test]
fn privileged_a_killed_containers_place_on_the_bridge_is_found() {
    let place = Place::new();
    busybox(&place);
    let namespace = Namespace::new();
    let run = ["-d", "--name", "gone", "--network", "bridge", "-p", "8081:80", "bb", "sleep", "1000"];
    namespace.harness(&place, "run", &run).ok();
    let supervisor = place.run(&["inspect", "-f", "{{.State.SupervisorPid}}", "gone"]).ok().out;
    assert!(Command::new("kill").args(["-9", supervisor.trim()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(120);
    while !place.run(&["ps", "-a"]).ok().out.contains("Dead") {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    let said = namespace.harness(&place, "gc", &[]).ok().out;
    assert!(said.contains("container"), "{said}");
    assert_eq!(namespace.run("ip", &["-brief", "link"]).ok().out.lines().count(), 1);
}
