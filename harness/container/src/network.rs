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
    Attachment, Bridge, Dns, ExtraHost, MacAddress, PublishedPort, host_resolv_conf, hosts, parse_add_host, parse_dns,
    parse_publish, resolv_conf,
};
use harness_runtime::{ContainerFile, Launch, Prepare};

use crate::{Configuration, Containers, Error, Network, Record, Result, launch::hostname};

const HOSTS: &str = "/etc/hosts";
const HOSTNAME: &str = "/etc/hostname";
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
    mac: Option<MacAddress>,
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
            mac: configuration.mac_address.as_deref().map(str::parse).transpose().map_err(wrong)?,
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
        let asked = Asked::of(&record.configuration)?;
        if record.configuration.network == Network::Bridge {
            self.attach(record, asked, launch)?;
        } else {
            launch.files.extend(files(containers, record, &asked)?);
        }
        let mounted = Mounted::of(record);
        launch.files.retain(|file| !mounted.has(&file.path));
        Ok(())
    }

    fn attach(&self, record: &Record, asked: Asked, launch: &mut Launch) -> Result<()> {
        let bridge = Bridge::open(&self.dir).map_err(Error::Network)?;
        let resolver = resolver(&asked.dns, None)?;
        let name = hostname(record);
        launch.files.push(file(HOSTNAME, name.clone() + "\n"));
        if record.configuration.oci_runtime.is_some() {
            // Another runtime binds them before it is known what they hold.
            launch.files.extend([file(HOSTS, String::new()), file(RESOLV_CONF, String::new())]);
        }
        let (id, attached, mounted) = (self.id.clone(), self.attached.clone(), Mounted::of(record));
        launch.prepare = Some(Prepare::new(move |nascent| -> Result<_, Box<dyn StdError + Send + Sync>> {
            let given = bridge.attach(&id, nascent.network_namespace()?.as_fd(), &asked.ports, asked.mac)?;
            let own = IpAddr::from(given.address);
            let hosts = hosts(Some((own, &[&name])), &asked.extra, Some(given.gateway.into()));
            *attached.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
            let files = [file(HOSTS, hosts), file(RESOLV_CONF, resolver)];
            Ok(files.into_iter().filter(|file| !mounted.has(&file.path)).collect())
        }));
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

/// What the user has mounted himself: nothing is laid on that, nor made in it.
struct Mounted(Vec<PathBuf>);

impl Mounted {
    fn of(record: &Record) -> Self {
        Self(record.configuration.mounts.iter().map(|mount| mount.target.clone()).collect())
    }

    fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|target| path.starts_with(target))
    }
}

/// The files of a container that gets no interface of its own; of one that shares another one's, that one's.
fn files(containers: &Containers, record: &Record, asked: &Asked) -> Result<Vec<ContainerFile>> {
    let name = file(HOSTNAME, hostname(record) + "\n");
    let (hosts, resolver) = match &record.configuration.network {
        Network::Container(other) => {
            let record = containers.find(other)?;
            let asked = Asked::of(&record.configuration)?;
            return match containers.state(other)?.0.network {
                None => files(containers, &record, &asked),
                Some(given) => {
                    let (name, own) = (hostname(&record), IpAddr::from(given.address));
                    let hosts = hosts(Some((own, &[&name])), &asked.extra, Some(given.gateway.into()));
                    let resolver = resolver(&asked.dns, None)?;
                    Ok(vec![file(HOSTNAME, name + "\n"), file(HOSTS, hosts), file(RESOLV_CONF, resolver)])
                }
            };
        }
        Network::Host => {
            let own = fs::read_to_string(HOSTS).unwrap_or_default();
            let extra = hosts(None, &asked.extra, None);
            let all = if asked.extra.is_empty() { own } else { own + &extra };
            (all, resolver(&asked.dns, fs::read_to_string(RESOLV_CONF).ok())?)
        }
        Network::None | Network::Bridge => (hosts(None, &asked.extra, None), resolver(&asked.dns, None)?),
    };
    Ok(vec![name, file(HOSTS, hosts), file(RESOLV_CONF, resolver)])
}
