//! `NetworkSettings`: what a container's network is like while it runs.

use std::collections::BTreeMap;

use harness_container::{Configuration, Network, State};
use harness_network::{Attachment, HostPorts, PortMapping, PublishedPort, parse_publish};
use serde_json::{Value, json};

pub fn settings(configuration: &Configuration, state: &State) -> Value {
    let attached = state.network.as_ref();
    let endpoint = endpoint(attached);
    let mut settings = json!({
        "Bridge": attached.map_or("", |network| network.bridge.as_str()),
        "SandboxID": "",
        "SandboxKey": state.pid.map_or_else(String::new, |pid| format!("/proc/{pid}/ns/net")),
        "HairpinMode": false, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null,
        "Ports": if state.pid.is_some() { ports(configuration, attached) } else { json!({}) },
        "Networks": match configuration.network {
            Network::Container(_) => json!({}),
            ref other => json!({other.mode(): endpoint}),
        },
        // Docker has no names for these.
        "Interface": attached.map_or("", |network| network.interface.as_str()),
        "Outside": attached.is_some_and(|network| network.outside),
    });
    // What docker says of the only network is said here, too.
    if let (Value::Object(settings), Value::Object(endpoint)) = (&mut settings, endpoint) {
        settings.extend(endpoint.into_iter().filter(|(name, _)| OF_THE_ONLY.contains(&name.as_str())));
    }
    settings
}

const OF_THE_ONLY: [&str; 8] = [
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
];

fn endpoint(attached: Option<&Attachment>) -> Value {
    json!({
        "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "",
        "Gateway": attached.map_or_else(String::new, |network| network.gateway.to_string()),
        "IPAddress": attached.map_or_else(String::new, |network| network.address.to_string()),
        "IPPrefixLen": attached.map_or(0, |network| network.prefix),
        "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
        "MacAddress": attached.map_or("", |network| network.mac.as_str()),
        "DriverOpts": null,
    })
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": null}`: what is published, and what is exposed only.
fn ports(configuration: &Configuration, attached: Option<&Attachment>) -> Value {
    let exposed = configuration.expose.iter().map(|port| (with_protocol(port), None));
    let mut ports: BTreeMap<String, Option<Vec<Value>>> = exposed.collect();
    for PortMapping { host_ip, host_port, container_port, protocol } in
        attached.iter().flat_map(|network| &network.ports)
    {
        let to = json!({"HostIp": host_ip.to_string(), "HostPort": host_port.to_string()});
        ports.entry(format!("{container_port}/{protocol}")).or_default().get_or_insert_default().push(to);
    }
    json!(ports)
}

/// What was asked for, in the same form: no address for all, no port for any.
pub fn bindings(configuration: &Configuration) -> Value {
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for PublishedPort { host_ip, host_ports, container_port, protocol } in published(configuration) {
        let ip = if host_ip.is_unspecified() { String::new() } else { host_ip.to_string() };
        let port = match host_ports {
            HostPorts::Any => String::new(),
            HostPorts::Range(from, to) if from == to => from.to_string(),
            HostPorts::Range(from, to) => format!("{from}-{to}"),
        };
        let to = json!({"HostIp": ip, "HostPort": port});
        bindings.entry(format!("{container_port}/{protocol}")).or_default().push(to);
    }
    json!(bindings)
}

/// `{"80/tcp": {}}`: what the image exposes, and what is published.
pub fn exposed(configuration: &Configuration) -> Value {
    let published = published(configuration).map(|port| format!("{}/{}", port.container_port, port.protocol));
    let all = configuration.expose.iter().map(|port| with_protocol(port)).chain(published);
    Value::Object(all.map(|port| (port, json!({}))).collect())
}

fn published(configuration: &Configuration) -> impl Iterator<Item = PublishedPort> {
    configuration.publish.iter().flat_map(|text| parse_publish(text).unwrap_or_default())
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_in_dockers_form() {
        let strings = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let configuration = Configuration {
            publish: strings(&["127.0.0.1:8080:80", "9/udp", "8000-8009:90"]),
            expose: strings(&["80/tcp", "443"]),
            ..Configuration::default()
        };
        let expected = json!({
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "9/udp": [{"HostIp": "", "HostPort": ""}],
            "90/tcp": [{"HostIp": "", "HostPort": "8000-8009"}],
        });
        assert_eq!(bindings(&configuration), expected);
        assert_eq!(exposed(&configuration), json!({"80/tcp": {}, "443/tcp": {}, "9/udp": {}, "90/tcp": {}}));
        assert_eq!(ports(&configuration, None), json!({"80/tcp": null, "443/tcp": null}));
    }
}
