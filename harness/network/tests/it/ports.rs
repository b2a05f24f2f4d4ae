//! Which ports of the host are given.

use std::net::{TcpListener, UdpSocket};

use crate::namespaces::{Host, Namespace};

#[test]
fn privileged_a_port_is_published_once() {
    let host = Host::new();
    let (_one, _) = host.container("one", &["8080:80"]);
    for port in ["8080:80", "127.0.0.1:8080:81"] {
        let error = host.attach("two", &Namespace::new(), &[port]).unwrap_err().to_string();
        assert!(error.starts_with("cannot publish ") && error.ends_with(":8080/tcp: container one has it"), "{error}");
    }
    assert_eq!(host.interfaces(), ["lo", "harness0", "harness0-2"]);
    // The other protocol's ports are others.
    host.attach("two", &Namespace::new(), &["8080:80/udp"]).unwrap();
}

#[test]
fn privileged_a_port_of_the_hosts_programs_is_not_published() {
    let host = Host::new();
    let _listener = host.namespace.run(|| TcpListener::bind("127.0.0.1:8080").unwrap());
    let _socket = host.namespace.run(|| UdpSocket::bind("127.0.0.1:8081").unwrap());
    for (port, shown) in [("8080:80", "0.0.0.0:8080/tcp"), ("127.0.0.1:8081:80/udp", "127.0.0.1:8081/udp")] {
        let error = host.attach("one", &Namespace::new(), &[port]).unwrap_err().to_string();
        assert_eq!(error, format!("cannot publish {shown}: a program of this host has it"));
    }
    let error = host.attach("one", &Namespace::new(), &["192.0.2.1:80:80"]).unwrap_err().to_string();
    assert_eq!(error, "cannot publish on 192.0.2.1: the host has no such address");
    assert_eq!(host.interfaces(), ["lo"]);
}

#[test]
fn privileged_free_ports_are_found() {
    let host = Host::new();
    let _listener = host.namespace.run(|| TcpListener::bind("0.0.0.0:8000").unwrap());
    let (_one, first) = host.container("one", &["8000-8002:80", "81", "82"]);
    let (_two, second) = host.container("two", &["8000-8002:80", "8010-8011:90-91"]);
    assert_eq!((first.ports[0].host_port, second.ports[0].host_port), (8001, 8002));
    assert!(first.ports[1].host_port > 1024 && first.ports[1].host_port != first.ports[2].host_port);
    assert_eq!((second.ports[1].host_port, second.ports[2].container_port), (8010, 91));
    let error = host.attach("three", &Namespace::new(), &["8000-8002:80"]).unwrap_err().to_string();
    assert_eq!(error, "cannot publish 0.0.0.0:8002/tcp: container two has it");
    let error = host.attach("three", &Namespace::new(), &["9000:80", "9000:81"]).unwrap_err().to_string();
    assert_eq!(error, "cannot publish 0.0.0.0:9000/tcp: another port of this container has it");
}

#[test]
fn privileged_a_thousand_ports_are_published_together() {
    let host = Host::new();
    let (container, attachment) = host.container("one", &["20000-20999:1000-1999"]);
    assert_eq!(attachment.ports.len(), 1000);
    container.serve(1999);
    assert_eq!(host.namespace.ask([127, 0, 0, 1].into(), 20999).unwrap(), attachment.gateway.to_string());
}
