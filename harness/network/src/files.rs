//! What containers read of the network: `/etc/hosts` and `/etc/resolv.conf`.

use std::{
    fmt::Write,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use crate::{Error, ExtraHost, Result};

/// Where systemd-resolved keeps the servers that it asks itself, when the host's own file only names it.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Whom docker has containers ask where the host's servers are on its loopback interface only.
const PUBLIC: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// What `--dns` and its kin say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// `--dns`: the servers, in place of the host's.
    pub servers: Vec<IpAddr>,
    /// `--dns-search`: domains in which names are looked for, in place of the host's; `.` alone means none.
    pub search: Vec<String>,
    /// `--dns-option`: in place of the host's.
    pub options: Vec<String>,
}

/// The content of a container's `/etc/resolv.conf`: the host's, without servers on loopback addresses, which are not the
/// container's, and with what `dns` says in place of it. If no server is left, public ones take their place, as with
/// docker, and the file says so in a comment.
#[must_use]
pub fn resolv_conf(host: &str, dns: &Dns) -> String {
    let mut lines = Vec::new();
    let mut servers = 0;
    for address in &dns.servers {
        lines.push(format!("nameserver {address}"));
        servers += 1;
    }
    for line in host.lines() {
        let mut words = line.split_whitespace();
        let kept = match words.next() {
            Some("nameserver") => {
                let usable = dns.servers.is_empty() && words.next().is_some_and(is_reachable);
                servers += usize::from(usable);
                usable
            }
            // "domain" is the older way to say the same.
            Some("search" | "domain") => dns.search.is_empty(),
            Some("options") => dns.options.is_empty(),
            Some("sortlist") => true,
            _ => false,
        };
        if kept {
            lines.push(line.trim().to_owned());
        }
    }
    if !dns.search.is_empty() && dns.search != ["."] {
        lines.push(format!("search {}", dns.search.join(" ")));
    }
    if !dns.options.is_empty() {
        lines.push(format!("options {}", dns.options.join(" ")));
    }
    if servers == 0 {
        lines.push(
            "# the host's name servers are none, or on its loopback interface, where containers have another".into(),
        );
        lines.extend(PUBLIC.map(|address| format!("nameserver {address}")));
    }
    lines.join("\n") + "\n"
}

/// The host's `/etc/resolv.conf`, or what systemd-resolved keeps in its place where that names a server on a loopback
/// address only. No file is an empty one.
///
/// # Errors
/// [`Error::File`]
pub fn host_resolv_conf() -> Result<String> {
    let own = read("/etc/resolv.conf".as_ref())?;
    if servers(&own).any(is_reachable) {
        return Ok(own);
    }
    let resolved = read(RESOLVED.as_ref())?;
    Ok(if servers(&resolved).any(is_reachable) { resolved } else { own })
}

fn read(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

fn servers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    })
}

/// Whether a container can ask this server. An IPv6 address is of no use on a bridge of IPv4.
fn is_reachable(server: &str) -> bool {
    server.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
}

/// The content of a container's `/etc/hosts`: loopback, `extra`, and its own address under its names. The gateway is who
/// `host-gateway` means; without one such entries are left out.
#[must_use]
pub fn hosts(own: Option<(IpAddr, &[&str])>, extra: &[ExtraHost], gateway: Option<IpAddr>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for ExtraHost { name, address } in extra {
        if let Some(address) = address.or(gateway) {
            _ = writeln!(text, "{address}\t{name}");
        }
    }
    if let Some((address, names)) = own {
        _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_add_host;

    #[test]
    fn loopback_servers_are_not_passed_on() {
        let host = "# made by hand\nsearch example.org\nnameserver 127.0.0.53\n nameserver 10.0.0.1\nnameserver ::1\n\
                    options edns0\nnameserver nonsense\n";
        let plain = resolv_conf(host, &Dns::default());
        assert_eq!(plain, "search example.org\nnameserver 10.0.0.1\noptions edns0\n");
        let none = resolv_conf("nameserver 127.0.0.1\n", &Dns::default());
        assert!(none.starts_with("# ") && none.ends_with("\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"), "{none}");
    }

    #[test]
    fn options_take_the_hosts_place() {
        let host = "search example.org\nnameserver 10.0.0.1\noptions edns0\n";
        let dns = Dns {
            servers: vec!["9.9.9.9".parse().unwrap()],
            search: vec!["a.b".into(), "c".into()],
            options: vec!["ndots:2".into()],
        };
        assert_eq!(resolv_conf(host, &dns), "nameserver 9.9.9.9\nsearch a.b c\noptions ndots:2\n");
        let no_search = Dns { search: vec![".".into()], ..Dns::default() };
        assert_eq!(resolv_conf(host, &no_search), "nameserver 10.0.0.1\noptions edns0\n");
    }

    #[test]
    fn a_container_knows_itself_and_the_host() {
        let extra = [parse_add_host("db:10.1.1.1").unwrap(), parse_add_host("host:host-gateway").unwrap()];
        let own: IpAddr = "172.30.0.2".parse().unwrap();
        let text = hosts(Some((own, &["web.example", "web"])), &extra, "172.30.0.1".parse().ok());
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.ends_with("10.1.1.1\tdb\n172.30.0.1\thost\n172.30.0.2\tweb.example web\n"), "{text}");
        assert!(!hosts(None, &extra, None).contains("host\n172"));
        assert_eq!(hosts(None, &[], None).lines().count(), 6);
    }
}
