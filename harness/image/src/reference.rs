use std::{fmt, str::FromStr};

use storage_layer::Digest;

use crate::{Error, Result};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// The name of an image, by docker's rules: `tiny` is `docker.io/library/tiny:latest`.
///
/// The grammar is that of the distribution project's reference package: an optional domain, a path of
/// lower-case components, then `:tag`, `@digest`, or both. Without either the tag is `latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a person gives it.
    ///
    /// # Errors
    /// [`Error::InvalidName`] names the rule that was broken.
    pub fn parse(given: &str) -> Result<Self> {
        let invalid = |why| Error::InvalidName { name: given.to_owned(), why };
        let (rest, digest) = match given.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| invalid("after '@' stands sha256: and 64 hex digits"))?))
            }
            None => (given, None),
        };
        if rest.is_empty() {
            return Err(invalid("it is empty"));
        }
        let (name, tag) = split_tag(rest);
        if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("64 hex digits are an image id, not a name"));
        }
        let (domain, path) = split_domain(name);
        check_domain(&domain).map_err(invalid)?;
        check_path(&path).map_err(invalid)?;
        if domain.len() + 1 + path.len() > MAX_NAME {
            return Err(invalid("it is longer than 255 characters"));
        }
        if let Some(tag) = tag {
            check_tag(tag).map_err(invalid)?;
        }
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG.to_owned()),
        };
        Ok(Self { domain, path, tag, digest })
    }

    /// Whether a name has neither tag nor digest. Where docker takes several images, it stands for all of its repository.
    #[must_use]
    pub fn is_repository(given: &str) -> bool {
        !given.contains('@') && split_tag(given).1.is_none()
    }

    /// The repository in full: `docker.io/library/tiny`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as people write it: `tiny`.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The tag; `None` only when there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, where the name fixes one.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The whole name in full: `docker.io/library/tiny:latest`.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.with_suffix(self.repository())
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// As people write it, with its tag: `tiny:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.with_suffix(self.familiar_repository()))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name)
    }
}

/// A colon after the last slash starts a tag; one before it belongs to a port.
fn split_tag(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    }
}

/// The first component is a domain when it has a dot, a port or a capital, or is `localhost`.
fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, path))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (first, path)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    let official = domain == DEFAULT_DOMAIN && !path.contains('/');
    (domain.to_owned(), if official { format!("{OFFICIAL}{path}") } else { path.to_owned() })
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return Err("a registry's port is a number");
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let known = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        return if known && !address.is_empty() { Ok(()) } else { Err("the registry's IPv6 address is malformed") };
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.split('.').all(label) { Ok(()) } else { Err("the registry's host name is malformed") }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("a repository name is lower-case");
    }
    if path.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err("a repository name is made of a-z and 0-9, joined by '/', '.', '_', '__' or dashes")
    }
}

/// Runs of letters and digits, joined by one of `.`, `_`, `__` or any number of dashes.
fn is_path_component(component: &str) -> bool {
    let mut separator = String::new();
    let mut last_alphanumeric = false;
    let mut seen = false;
    for c in component.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            let joined = match separator.as_str() {
                "" => true,
                "." | "_" | "__" => seen,
                dashes => seen && dashes.bytes().all(|b| b == b'-'),
            };
            if !joined {
                return false;
            }
            separator.clear();
            last_alphanumeric = true;
            seen = true;
        } else {
            separator.push(c);
            last_alphanumeric = false;
        }
    }
    last_alphanumeric
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.as_bytes() {
        [] => Err("the tag is empty"),
        bytes if bytes.len() > MAX_TAG => Err("the tag is longer than 128 characters"),
        [first, rest @ ..] if word(*first) && rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')) => Ok(()),
        _ => Err("a tag is made of letters, digits, '_', '.' and '-', the first a letter, digit or '_'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_does() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let cases = [
            ("tiny", "docker.io/library/tiny:latest", "tiny:latest"),
            ("tiny:3.19", "docker.io/library/tiny:3.19", "tiny:3.19"),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("docker.io/tiny", "docker.io/library/tiny:latest", "tiny:latest"),
            ("index.docker.io/library/tiny", "docker.io/library/tiny:latest", "tiny:latest"),
            ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("ghcr.io/o/n:v1", "ghcr.io/o/n:v1", "ghcr.io/o/n:v1"),
            ("a--b__c.d_e", "docker.io/library/a--b__c.d_e:latest", "a--b__c.d_e:latest"),
        ];
        for (given, canonical, familiar) in cases {
            let reference = Reference::parse(given).unwrap();
            assert_eq!(reference.canonical(), canonical);
            assert_eq!(reference.to_string(), familiar);
            assert_eq!(Reference::parse(canonical).unwrap(), reference);
            assert_eq!(Reference::parse(familiar).unwrap(), reference);
        }
        let pinned = Reference::parse(&format!("tiny@{digest}")).unwrap();
        assert_eq!(pinned.tag(), None);
        assert_eq!(pinned.canonical(), format!("docker.io/library/tiny@{digest}"));
        let both = Reference::parse(&format!("tiny:1@{digest}")).unwrap();
        assert_eq!(both.tag(), Some("1"));
    }

    #[test]
    fn whole_repositories_are_told_from_images() {
        for (name, whole) in [("tiny", true), ("localhost:5000/a", true), ("localhost:5000/a:1", false), ("a@b", false)]
        {
            assert_eq!(Reference::is_repository(name), whole, "{name}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = "a".repeat(256);
        let hex = "0".repeat(64);
        let tag = format!("a:{}", "t".repeat(129));
        for name in [
            "",
            "Tiny",
            "a//b",
            "a/",
            "/a",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a:",
            "a:-x",
            "a:b c",
            "a@",
            "a@sha256:12",
            "a@md5:00",
            "b.c:x/a",
            "exa_mple.com/a",
            "../a",
            "a/../b",
            "a\0",
            "é",
            "[x]/a",
            &long,
            &hex,
            &tag,
        ] {
            assert!(Reference::parse(name).is_err(), "{name:?} was accepted");
        }
    }
}
