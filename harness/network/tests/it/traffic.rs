//! Who reaches whom, and as whom.

use std::net::Ipv4Addr;

use crate::namespaces::{Host, Namespace};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

#[test]
fn privileged_containers_reach_each_other_and_the_host() {
    let host = Host::new();
    let (one, first) = host.container("one", &[]);
    let (two, second) = host.container("two", &[]);
    one.serve(80);
    host.namespace.serve(81);
    assert_eq!(two.ask(first.address, 80).unwrap(), second.address.to_string());
    assert_eq!(host.namespace.ask(first.address, 80).unwrap(), first.gateway.to_string());
    assert_eq!(one.ask(first.gateway, 81).unwrap(), first.address.to_string());
}

#[test]
fn privileged_the_way_out_hides_the_container() {
    let (host, outside) = Host::with_outside();
    let (container, attachment) = host.container("one", &[]);
    assert!(attachment.outside);
    outside.serve(80);
    assert_eq!(container.ask(OUTSIDE, 80).unwrap(), HOST.to_string());
}

#[test]
fn privileged_outside_reaches_what_is_published_only() {
    let (host, outside) = Host::with_outside();
    let (container, attachment) = host.container("one", &["8080:80", "127.0.0.1:8081:80", "10.77.0.1:8082:80"]);
    container.serve(80);
    assert_eq!(outside.ask(HOST, 8080).unwrap(), OUTSIDE.to_string());
    assert_eq!(outside.ask(HOST, 8082).unwrap(), OUTSIDE.to_string());
    assert!(outside.is_unanswered(HOST, 8081));
    // Nor by the container's own address, although the host would pass it on.
    outside.ip(&format!("route add 172.30.0.0/16 via {HOST}"));
    assert!(outside.is_unanswered(attachment.address, 80));
    host.detach("one");
    assert!(outside.is_unanswered(HOST, 8080));
}

#[test]
fn privileged_the_host_reaches_what_is_published() {
    let (host, _outside) = Host::with_outside();
    let (container, attachment) = host.container("one", &["8080:80", "127.0.0.1:8081:80", "10.77.0.1:8082:80"]);
    container.serve(80);
    let gateway = attachment.gateway.to_string();
    assert_eq!(host.namespace.ask(Ipv4Addr::LOCALHOST, 8080).unwrap(), gateway);
    assert_eq!(host.namespace.ask(Ipv4Addr::LOCALHOST, 8081).unwrap(), gateway);
    assert_eq!(host.namespace.ask(attachment.gateway, 8080).unwrap(), gateway);
    assert_eq!(host.namespace.ask(HOST, 8082).unwrap(), HOST.to_string());
    assert!(host.namespace.is_unanswered(Ipv4Addr::LOCALHOST, 8082));
}

#[test]
fn privileged_containers_reach_what_is_published_by_the_hosts_address() {
    let (host, _outside) = Host::with_outside();
    let (container, attachment) = host.container("one", &["8080:80"]);
    let (neighbour, _) = host.container("two", &[]);
    container.serve(80);
    for (who, place) in [(&container, HOST), (&neighbour, HOST), (&neighbour, attachment.gateway)] {
        assert_eq!(who.ask(place, 8080).unwrap(), attachment.gateway.to_string());
    }
}

#[test]
fn privileged_datagrams_are_published_too() {
    use std::net::UdpSocket;
    let (host, outside) = Host::with_outside();
    let (container, _) = host.container("one", &["5353:53/udp"]);
    let server = container.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    for (who, place) in [(&outside, HOST), (&host.namespace, Ipv4Addr::LOCALHOST)] {
        let server = server.try_clone().unwrap();
        server.set_read_timeout(Some(crate::namespaces::PATIENCE)).unwrap();
        let asked = std::thread::spawn(move || {
            let mut bytes = [0; 8];
            let (length, peer) = server.recv_from(&mut bytes).unwrap();
            server.send_to(&bytes[..length], peer).unwrap();
        });
        let answer = who.run(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(crate::namespaces::PATIENCE)).unwrap();
            socket.connect((place, 5353)).unwrap();
            socket.send(b"ping").unwrap();
            let mut bytes = [0; 8];
            let length = socket.recv(&mut bytes).unwrap();
            bytes[..length].to_vec()
        });
        asked.join().unwrap();
        assert_eq!(answer, b"ping");
    }
}

/// The host's own connections to published ports need route_localnet on the bridge. It lets a container send packets to
/// 127.0.0.1 that the host would take for its own, where services listen that trust whoever is there.
#[test]
fn privileged_containers_do_not_reach_the_hosts_loopback() {
    let host = Host::new();
    let (container, attachment) = host.container("one", &["8080:80"]);
    host.namespace.serve_at(Ipv4Addr::new(127, 0, 0, 2), 81);
    assert_eq!(host.namespace.ask(Ipv4Addr::new(127, 0, 0, 2), 81).unwrap(), "127.0.0.1");
    let attack = |container: &Namespace| {
        container.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")).unwrap();
        container.ip("link set lo down");
        container.ip(&format!("route add 127.0.0.2 via {}", attachment.gateway));
        container.is_unanswered(Ipv4Addr::new(127, 0, 0, 2), 81)
    };
    assert!(attack(&container));
}
