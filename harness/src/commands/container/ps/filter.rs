//! `--filter` of `ps`, with docker's names.

use harness_container::{Mount, Status};
use harness_network::{Protocol, parse_publish};
use storage_driver::Timestamp;

use super::Shown;
use crate::{
    commands::filters::{Label, pair},
    containers::Site,
    failure::{Failure, Result},
    nearest,
};

const NAMES: [&str; 14] = [
    "ancestor", "before", "exited", "expose", "health", "id", "label", "name", "network", "publish", "since", "status",
    "volume", "is-task",
];

/// What a container has to be.
#[derive(Debug)]
pub enum Filter {
    Id(String),
    Name(String),
    Status(String),
    Exited(i32),
    Label(Label),
    Ancestor(String),
    Volume(String),
    Health(String),
    Network(String),
    /// A port of the container that is published.
    Publish(Ports),
    /// A port that the image exposes, or that is published.
    Expose(Ports),
    /// Made before a container.
    Before(Timestamp),
    /// Made after a container.
    Since(Timestamp),
    /// Part of a swarm's service, of which there are none.
    IsTask(bool),
}

/// `PORT[-PORT][/PROTOCOL]`
#[derive(Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
    protocol: Protocol,
}

impl Ports {
    fn read(text: &str) -> Result<Self> {
        let ports = parse_publish(text).ok().filter(|_| !text.contains(':'));
        let wrong = || Failure::usage(format!("{text:?} is no port; write 80, 80/udp or 8000-8010"));
        let ports = ports.ok_or_else(wrong)?;
        let (first, last) = (ports.first().ok_or_else(wrong)?, ports.last().ok_or_else(wrong)?);
        Ok(Self { first: first.container_port, last: last.container_port, protocol: first.protocol })
    }

    fn has_one_of<'a>(&self, published: impl IntoIterator<Item = &'a String>) -> bool {
        let mut ports = published.into_iter().flat_map(|text| parse_publish(text).unwrap_or_default());
        ports.any(|port| port.protocol == self.protocol && (self.first..=self.last).contains(&port.container_port))
    }
}

impl Filter {
    pub fn read(text: &str, site: &Site) -> Result<Self> {
        let (name, value) = pair(text)?;
        let made = || Ok::<_, Failure>(site.find(value)?.created);
        let value = value.to_owned();
        Ok(match name {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "status" => Self::Status(value),
            "exited" => Self::Exited(value.parse().map_err(|_| Failure::usage(format!("{value} is no exit status")))?),
            "label" => Self::Label(Label::read(&value)),
            "ancestor" => Self::Ancestor(value),
            "volume" => Self::Volume(value),
            "health" => Self::Health(value),
            "network" => Self::Network(value),
            "publish" => Self::Publish(Ports::read(&value)?),
            "expose" => Self::Expose(Ports::read(&value)?),
            "before" => Self::Before(made()?),
            "since" => Self::Since(made()?),
            "is-task" => Self::IsTask(crate::commands::filters::boolean(name, &value)?),
            _ => return Err(Failure::usage(nearest::unknown("filter", name, NAMES))),
        })
    }

    /// Whether it asks for containers that do not run, too.
    pub const fn names_a_status(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Exited(_))
    }

    /// Several filters of a kind are alternatives, those of different kinds have all to fit; as docker's, of whose labels each
    /// has to fit.
    pub fn all_take(filters: &[Self], one: &Shown) -> bool {
        let kind = |filter: &Self| std::mem::discriminant(filter);
        let alternatives = |filter: &Self| filters.iter().any(|other| kind(other) == kind(filter) && other.takes(one));
        filters.iter().all(|filter| match filter {
            Self::Label(_) => filter.takes(one),
            other => alternatives(other),
        })
    }

    fn takes(&self, Shown { record, state, status }: &Shown) -> bool {
        let configuration = &record.configuration;
        match self {
            Self::Id(id) => record.id.starts_with(id),
            Self::Name(name) => is_called(&record.name, name),
            Self::Status(name) => status.name() == name,
            Self::Exited(code) => *status == Status::Exited(*code),
            Self::Label(label) => label.is_among(&configuration.labels),
            Self::Ancestor(image) => {
                let digits = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
                record.image == *image
                    || record.image.strip_suffix(":latest") == Some(image)
                    || (image.len() >= 12 && digits(&record.image_id).starts_with(&digits(image)))
            }
            Self::Volume(volume) => {
                let target = |mount: &Mount| mount.target.to_str() == Some(volume);
                configuration.volumes().any(|name| name == volume) || configuration.mounts.iter().any(target)
            }
            Self::Health(health) => state.health.as_ref().map_or("none", |health| health.status.name()) == health,
            Self::Network(name) => configuration.network.mode() == *name,
            Self::Publish(ports) => ports.has_one_of(&configuration.publish),
            Self::Expose(ports) => ports.has_one_of(configuration.expose.iter().chain(&configuration.publish)),
            Self::Before(then) => record.created < *then,
            Self::Since(then) => record.created > *then,
            Self::IsTask(wanted) => !wanted,
        }
    }
}

/// `^` and `$` stand for the name's beginning and end, as in the expressions that docker takes.
fn is_called(name: &str, wanted: &str) -> bool {
    let begins = wanted.strip_prefix('^');
    let wanted = begins.unwrap_or(wanted);
    let ends = wanted.strip_suffix('$');
    let wanted = ends.unwrap_or(wanted).trim_start_matches('/');
    match (begins, ends) {
        (Some(_), Some(_)) => name == wanted,
        (Some(_), None) => name.starts_with(wanted),
        (None, Some(_)) => name.ends_with(wanted),
        (None, None) => name.contains(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_in_part_or_whole() {
        for wanted in ["web", "^we", "b1$", "^/web1$", "/web", "^web1$"] {
            assert!(is_called("web1", wanted), "{wanted}");
        }
        for wanted in ["^web$", "^eb", "web$", "db"] {
            assert!(!is_called("web1", wanted), "{wanted}");
        }
    }

    #[test]
    fn ports_have_a_protocol_and_may_be_ranges() {
        let published = ["8080:80".to_owned(), "53/udp".to_owned()];
        for (text, expected) in
            [("80", true), ("80/udp", false), ("53/udp", true), ("53", false), ("70-90/tcp", true), ("8080", false)]
        {
            assert_eq!(Ports::read(text).unwrap().has_one_of(&published), expected, "{text}");
        }
        for text in ["", "x", "8080:80", "9-1"] {
            assert!(Ports::read(text).is_err(), "{text}");
        }
    }
}
