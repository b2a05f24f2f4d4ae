//! Who gets which address.

use std::{collections::BTreeSet, net::Ipv4Addr, os::fd::AsFd, sync::Arc, thread};

use harness_network::{Attachment, Bridge};

use crate::namespaces::{Host, Namespace};

#[test]
fn privileged_a_container_has_an_interface_an_address_and_a_route() {
    let host = Host::new();
    let (container, attachment) = host.container("one", &[]);
    assert_eq!(attachment.address, Ipv4Addr::new(172, 30, 0, 2));
    assert_eq!((attachment.gateway, attachment.prefix), (Ipv4Addr::new(172, 30, 0, 1), 16));
    assert_eq!(attachment.mac, "02:42:ac:1e:00:02");
    let link = container.ip("-o link show eth0");
    assert!(link.contains("02:42:ac:1e:00:02") && link.contains(",UP,LOWER_UP") && link.contains("mtu 1500"), "{link}");
    assert!(container.ip("-o address show eth0").contains("172.30.0.2/16 brd 172.30.255.255 scope global"));
    let routes = container.ip("route show");
    assert!(routes.contains("default via 172.30.0.1 dev eth0"), "{routes}");
    assert_eq!(host.interfaces(), ["lo", "harness0", "harness0-2"]);
    let json = serde_json::to_string(&attachment).unwrap();
    assert_eq!(serde_json::from_str::<Attachment>(&json).unwrap(), attachment);
}

#[test]
fn privileged_a_subnet_in_use_is_left_alone() {
    let host = Host::new();
    host.namespace.ip("link add other type veth peer name another");
    host.namespace.ip("link set other up");
    host.namespace.ip("address add 172.30.9.1/24 dev other");
    let (_container, attachment) = host.container("one", &[]);
    assert_eq!(attachment.address, Ipv4Addr::new(172, 31, 0, 2));
}

#[test]
fn privileged_two_roots_have_a_bridge_each() {
    let (host, other_dir) = (Host::new(), tempfile::tempdir().unwrap());
    let (_one, first) = host.container("one", &[]);
    let two = Namespace::new();
    let bridge = Bridge::open(other_dir.path()).unwrap();
    let descriptor = two.descriptor().try_clone_to_owned().unwrap();
    let second = host.namespace.run(move || bridge.attach("one", descriptor.as_fd(), &[], None)).unwrap();
    assert_eq!((first.bridge.as_str(), second.bridge.as_str()), ("harness0", "harness1"));
    assert_eq!(second.address, Ipv4Addr::new(172, 31, 0, 2));
    host.detach("one");
    assert_eq!(host.interfaces(), ["lo", "harness1", "harness1-2"]);
    // A third takes the name that the first has left, and the first touches nothing of it.
    let (third_dir, three) = (tempfile::tempdir().unwrap(), Namespace::new());
    let bridge = Bridge::open(third_dir.path()).unwrap();
    let descriptor = three.descriptor().try_clone_to_owned().unwrap();
    let ports = harness_network::parse_publish("8080:80").unwrap();
    host.namespace.run(move || bridge.attach("one", descriptor.as_fd(), &ports, None)).unwrap();
    host.detach("one");
    assert_eq!(host.gc(&[]), [""; 0]);
    three.serve(80);
    assert!(host.namespace.ask(Ipv4Addr::LOCALHOST, 8080).is_ok());
}

#[test]
fn privileged_containers_that_come_at_once_get_different_addresses() {
    const AT_ONCE: usize = 8;
    let host = Host::new();
    let containers: Arc<Vec<Namespace>> = Arc::new((0..AT_ONCE).map(|_| Namespace::new()).collect());
    let bridge = Bridge::open(host.dir.path()).unwrap();
    let shared = containers.clone();
    // Threads start in the namespace of the one that starts them.
    let attachments = host.namespace.run(move || {
        let attach = |n: usize| {
            let (bridge, shared) = (bridge.clone(), shared.clone());
            thread::spawn(move || bridge.attach(&format!("c{n}"), shared[n].descriptor(), &[], None).unwrap())
        };
        let threads: Vec<_> = (0..AT_ONCE).map(attach).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let addresses: BTreeSet<_> = attachments.iter().map(|attachment| attachment.address).collect();
    let expected: BTreeSet<_> = (2..10).map(|last| Ipv4Addr::new(172, 30, 0, last)).collect();
    assert_eq!(addresses, expected);
    assert_eq!(host.interfaces().len(), 2 + AT_ONCE);
}

#[test]
fn privileged_a_container_that_comes_again_takes_its_own_place() {
    let host = Host::new();
    let (old, first) = host.container("one", &["8080:80"]);
    let (new, second) = host.container("one", &["8080:80"]);
    assert_eq!(first, second);
    assert_eq!(old.ip("-o link show").lines().count(), 1);
    assert_eq!(new.ip("-o link show").lines().count(), 2);
    assert_eq!(host.interfaces(), ["lo", "harness0", "harness0-2"]);
}

#[test]
fn privileged_a_narrow_way_out_narrows_the_bridge() {
    let (host, _outside) = Host::with_outside();
    host.namespace.ip("link set uplink mtu 1400");
    let (container, attachment) = host.container("one", &[]);
    assert!(container.ip("-o link show eth0").contains("mtu 1400"));
    assert!(host.namespace.ip(&format!("-o link show {}", attachment.interface)).contains("mtu 1400"));
}
