//! What is left of containers: nothing.

use std::net::Ipv4Addr;

use crate::namespaces::Host;

#[test]
fn privileged_the_last_container_takes_the_bridge_along() {
    let host = Host::new();
    let (one, _) = host.container("one", &["8080:80"]);
    let (_two, _) = host.container("two", &[]);
    host.detach("one");
    assert_eq!(one.ip("-o link show").lines().count(), 1);
    assert_eq!(host.interfaces(), ["lo", "harness0", "harness0-3"]);
    assert!(host.namespace.is_unanswered(Ipv4Addr::LOCALHOST, 8080));
    host.detach("one");
    host.detach("two");
    assert_eq!(host.interfaces(), ["lo"]);
    assert!(host.gc(&[]).iter().all(|left| !left.contains("address")));
}

#[test]
fn privileged_what_dead_containers_had_is_given_again() {
    let host = Host::new();
    let (one, first) = host.container("one", &["8080:80"]);
    drop(one);
    host.wait_until_gone(&first.interface);
    let (two, second) = host.container("two", &["8080:81"]);
    assert_eq!(first.address, second.address);
    two.serve(81);
    assert_eq!(host.namespace.ask(Ipv4Addr::LOCALHOST, 8080).unwrap(), second.gateway.to_string());
}

#[test]
fn privileged_the_last_who_lives_takes_the_dead_along() {
    let host = Host::new();
    let (one, first) = host.container("one", &[]);
    let (_two, _) = host.container("two", &[]);
    drop(one);
    host.wait_until_gone(&first.interface);
    host.detach("two");
    assert_eq!(host.interfaces(), ["lo"]);
}

#[test]
fn privileged_gc_takes_what_a_crash_left() {
    let host = Host::new();
    let (_one, first) = host.container("one", &["8080:80"]);
    let (_two, _) = host.container("two", &[]);
    let (three, third) = host.container("three", &[]);
    drop(three);
    host.wait_until_gone(&third.interface);
    host.namespace.ip("link add harness0-ffff type veth peer name lost");
    host.namespace.ip("link set harness0-ffff master harness0");
    assert_eq!(
        host.gc(&["one", "three"]),
        [
            "network address: 172.30.0.3 of container two",
            "network address: 172.30.0.4 of container three",
            "network interface: harness0-ffff",
        ]
    );
    assert_eq!(host.interfaces(), ["lo", "harness0", first.interface.as_str()]);
    assert_eq!(host.gc(&["one"]), [""; 0]);
    assert_eq!(host.gc(&[]), ["network address: 172.30.0.2 of container one", "network bridge: harness0"]);
    assert_eq!(host.interfaces(), ["lo"]);
    assert_eq!(host.gc(&[]), [""; 0]);
}

#[test]
fn privileged_a_removed_bridge_is_made_again() {
    let host = Host::new();
    let (_one, first) = host.container("one", &[]);
    host.namespace.ip("link delete harness0");
    let (two, second) = host.container("two", &[]);
    assert_ne!(first.address, second.address);
    two.serve(80);
    assert_eq!(host.namespace.ask(second.address, 80).unwrap(), second.gateway.to_string());
}
