//! What commands of RUN see of the machine, and what they may do.

use std::fs;

use harness_builder::{BuildNetwork, BuildRequest, Entitlements, RunLimits};
use harness_network::parse_add_host;
use storage_driver::Bytes;

use crate::place::{Place, cached};

crate::tests!(
    privileged_hosts_and_the_resolver_are_there_with_a_network,
    privileged_what_was_mounted_leaves_no_trace,
    privileged_an_insecure_command_needs_leave,
    privileged_single_stages_are_built_anew,
    privileged_a_dockerfile_needs_no_file,
    privileged_limits_are_those_of_the_commands,
    privileged_devices_are_refused_by_name,
);

fn privileged_hosts_and_the_resolver_are_there_with_a_network() {
    let place = Place::with_host("overlay2");
    let request = BuildRequest {
        network: BuildNetwork::Host,
        hosts: ["db:10.1.2.3", "me=host-gateway"].map(|text| parse_add_host(text).unwrap()).into(),
        ..place.request()
    };
    let dockerfile = "FROM host
RUN grep -q '^10.1.2.3.*db' /etc/hosts && grep -q '^127.0.0.1.*me$' /etc/hosts && cat /etc/resolv.conf > /seen
RUN --network=none ! test -s /etc/resolv.conf && grep -q db /etc/hosts
RUN test \"$(cat /proc/sys/kernel/hostname)\" = buildkitsandbox
";
    let built = place.try_build(dockerfile, &request).unwrap_or_else(|error| panic!("{error}"));
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    place.look(&built.image, |root| assert_eq!(fs::read_to_string(root.join("seen")).unwrap(), resolver));
    // Other hosts may make another layer.
    let other = BuildRequest { hosts: vec![parse_add_host("db:10.1.2.4").unwrap()], ..request };
    assert!(place.try_build(dockerfile, &other).is_err());
}

fn privileged_what_was_mounted_leaves_no_trace() {
    let place = Place::with_host("vfs");
    let request = BuildRequest { network: BuildNetwork::Host, ..place.request() };
    let built = place.try_build("FROM host\nRUN test -s /etc/hosts && echo x > /x\n", &request).unwrap();
    place.look(&built.image, |root| {
        for name in ["etc/hosts", "etc/resolv.conf"] {
            let found = fs::read_to_string(root.join(name)).unwrap_or_default();
            assert!(!found.contains("buildkitsandbox"), "{name} was for the command only");
        }
    });
}

fn privileged_an_insecure_command_needs_leave() {
    let place = Place::with_host("overlay2");
    let dockerfile = "FROM host\nRUN --security=insecure grep -q '^Seccomp:.*0$' /proc/self/status\n";
    let refused = place.refused(dockerfile);
    assert!(refused.contains("Dockerfile:2:5: --security=insecure is only allowed when"), "{refused}");
    let request = BuildRequest { allow: Entitlements { insecure: true, host_network: false }, ..place.request() };
    place.try_build(dockerfile, &request).unwrap_or_else(|error| panic!("{error}"));
    place.build("FROM host\nRUN --security=sandbox grep -q '^Seccomp:.*2$' /proc/self/status\n");
    let network = "FROM host\nRUN --network=host true\n";
    assert!(place.refused(network).contains("--allow network.host"));
    let request = BuildRequest { allow: Entitlements { insecure: false, host_network: true }, ..place.request() };
    place.try_build(network, &request).unwrap_or_else(|error| panic!("{error}"));
}

fn privileged_single_stages_are_built_anew() {
    let place = Place::with_host("vfs");
    let dockerfile = "FROM host AS one\nRUN echo 1 > /1\nFROM host AS two\nRUN echo 2 > /2\nFROM scratch\nCOPY --from=one /1 /\nCOPY --from=two /2 /\n";
    place.build(dockerfile);
    let anew = |stages: &[&str]| {
        let no_cache_stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
        cached(&place.try_build(dockerfile, &BuildRequest { no_cache_stages, ..place.request() }).unwrap())
    };
    assert_eq!((anew(&[]), anew(&["ONE"]), anew(&["one", "2"])), (4, 3, 1));
}

fn privileged_a_dockerfile_needs_no_file() {
    let place = Place::new("vfs");
    place.file("f", "content");
    let text = Some(b"FROM scratch\nCOPY f /\n".to_vec());
    let built = place.build_request(&BuildRequest { dockerfile_text: text, ..place.request() });
    place.look(&built.image, |root| assert!(root.join("f").is_file()));
}

fn privileged_limits_are_those_of_the_commands() {
    let place = Place::with_host("overlay2");
    let dockerfile = "FROM host
RUN echo $(df -k /dev/shm | tail -n 1 | awk '{print $2}') $(ulimit -Sn) $(ulimit -Hn) > /seen && cat /proc/self/cgroup > /group
";
    let parent = format!("/harness-test-{}", std::process::id());
    let limits = RunLimits {
        shm_size: Some(Bytes(8 << 20)),
        ulimits: vec![("nofile".to_owned(), 300, 400)],
        cgroup_parent: Some(parent.clone().into()),
        ..RunLimits::default()
    };
    let built = place.build_request(&{
        place.file("Dockerfile", dockerfile);
        BuildRequest { limits: limits.clone(), ..place.request() }
    });
    place.look(&built.image, |root| {
        assert_eq!(fs::read_to_string(root.join("seen")).unwrap(), "8192 300 400\n");
        let group = fs::read_to_string(root.join("group")).unwrap();
        assert!(group.lines().any(|line| line.contains(&format!(":{parent}/build-"))), "{group}");
    });
    assert!(
        !std::path::Path::new("/sys/fs/cgroup/memory").join(&parent[1..]).exists(),
        "the parent goes with the build"
    );
    // Where a group lies makes no other layer; what a command can see of its limits may.
    let elsewhere = RunLimits { cgroup_parent: None, ..limits.clone() };
    assert_eq!(cached(&place.build_request(&BuildRequest { limits: elsewhere, ..place.request() })), 1);
    let other = RunLimits { ulimits: vec![("nofile".to_owned(), 300, 401)], ..limits };
    assert_eq!(cached(&place.build_request(&BuildRequest { limits: other, ..place.request() })), 0);
}

fn privileged_devices_are_refused_by_name() {
    let refused = Place::with_host("vfs").refused("FROM host\nRUN --device=vendor.com/gpu=all true\n");
    assert!(refused.contains("Dockerfile:2:5: --device asks for a device by its CDI name"), "{refused}");
}
