//! A container's network: what it gets at its start, and what is taken back at its end.

use std::{
    error::Error as StdError,
    fs,
    net::IpAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use harness_network::{
    Attachment, Bridge, Dns, ExtraHost, PublishedPort, host_resolv_conf, hosts, parse_add_host, parse_dns,
    parse_publish, resolv_conf,
};
use harness_runtime::{ContainerFile, Launch, Prepare};
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::{Configuration, Containers, Error, Network, Record, Result};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The networks of one data directory, for one container.
#[derive(Debug)]
pub(crate) struct Connection {
    dir: PathBuf,
    id: String,
    attached: Arc<Mutex<Option<Attachment>>>,
}

/// What the user asked for, read.
struct Asked {
    ports: Vec<PublishedPort>,
    extra: Vec<ExtraHost>,
    dns: Dns,
}

impl Asked {
    fn of(configuration: &Configuration) -> Result<Self> {
        let wrong = |error: harness_network::Error| Error::Network(error);
        let mut ports = Vec::new();
        for text in &configuration.publish {
            ports.extend(parse_publish(text).map_err(wrong)?);
        }
        let extra = configuration.add_host.iter().map(|text| parse_add_host(text)).collect::<Result<_, _>>();
        for word in configuration.dns_search.iter().chain(&configuration.dns_options) {
            if word.is_empty() || word.contains(char::is_whitespace) {
                let why = "a domain or an option of the resolver is one word (resolv.conf(5))";
                return Err(Error::invalid(format!("{word:?}"), why));
            }
        }
        let servers = configuration.dns.iter().map(|text| parse_dns(text)).collect::<Result<_, _>>();
        Ok(Self {
            ports,
            extra: extra.map_err(wrong)?,
            dns: Dns {
                servers: servers.map_err(wrong)?,
                search: configuration.dns_search.clone(),
                options: configuration.dns_options.clone(),
            },
        })
    }
}

/// Whether what the user asked for makes sense.
pub(crate) fn check(configuration: &Configuration) -> Result<()> {
    Asked::of(configuration).map(|_| ())
}

impl Connection {
    pub(crate) fn new(dir: &Path, record: &Record) -> Self {
        Self { dir: dir.to_owned(), id: record.id.clone(), attached: Arc::default() }
    }

    /// Has a container that is about to be started given its network.
    pub(crate) fn prepare(&self, containers: &Containers, record: &Record, launch: &mut Launch) -> Result<()> {
        let configuration = &record.configuration;
        let asked = Asked::of(configuration)?;
        match &configuration.network {
            Network::None => {
                if !asked.extra.is_empty() {
                    launch.files.push(file(HOSTS, hosts(None, &asked.extra, None)));
                }
            }
            Network::Host => {
                let own = fs::read_to_string(HOSTS).unwrap_or_default();
                let extra = hosts(None, &asked.extra, None);
                launch.files.push(file(HOSTS, if asked.extra.is_empty() { own } else { own + &extra }));
                launch.files.push(file(RESOLV_CONF, resolver(&asked.dns, fs::read_to_string(RESOLV_CONF).ok())?));
            }
            Network::Container(other) => join(containers, record, other, &mut launch.spec)?,
            Network::Bridge => {
                let bridge = Bridge::open(&self.dir).map_err(Error::Network)?;
                let resolver = resolver(&asked.dns, None)?;
                if configuration.oci_runtime.is_some() {
                    // Another runtime binds them before it is known what they hold.
                    launch.files.extend([file(HOSTS, String::new()), file(RESOLV_CONF, String::new())]);
                }
                let name = configuration.hostname.clone().unwrap_or_else(|| record.short_id().to_owned());
                let (id, attached) = (self.id.clone(), self.attached.clone());
                launch.prepare = Some(Prepare::new(move |nascent| -> Result<_, Box<dyn StdError + Send + Sync>> {
                    let given = bridge.attach(&id, nascent.network_namespace()?.as_fd(), &asked.ports)?;
                    let own = IpAddr::from(given.address);
                    let hosts = hosts(Some((own, &[&name])), &asked.extra, Some(given.gateway.into()));
                    *attached.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
                    Ok(vec![file(HOSTS, hosts), file(RESOLV_CONF, resolver)])
                }));
            }
        }
        Ok(())
    }

    /// What the container has got.
    pub(crate) fn attachment(&self) -> Option<Attachment> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes it back.
    pub(crate) fn end(&self) -> Result<()> {
        match self.attached.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(_) => Bridge::open(&self.dir).and_then(|bridge| bridge.detach(&self.id)).map_err(Error::Network),
        }
    }
}

fn file(path: &str, content: String) -> ContainerFile {
    ContainerFile { path: path.into(), content: content.into_bytes() }
}

/// The container's name servers: those asked for, else the host's, in its own words where it shares the host's loopback.
fn resolver(dns: &Dns, verbatim: Option<String>) -> Result<String> {
    match verbatim {
        Some(own) if *dns == Dns::default() => Ok(own),
        _ => Ok(resolv_conf(&host_resolv_conf().map_err(Error::Network)?, dns)),
    }
}

/// Puts the container into another one's network.
fn join(containers: &Containers, record: &Record, other: &str, spec: &mut Spec) -> Result<()> {
    let (state, _) = containers.state(other)?;
    let pid = state.pid.ok_or_else(|| {
        Error::refused(
            &record.name,
            format!("shares the network of container {other}, which is not running; start that first"),
        )
    })?;
    let namespaces = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut());
    for namespace in namespaces.into_iter().flatten() {
        if namespace.typ() == LinuxNamespaceType::Network {
            namespace.set_path(Some(format!("/proc/{pid}/ns/net").into()));
        }
    }
    Ok(())
}
