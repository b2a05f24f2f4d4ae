use std::{fmt, path::PathBuf, str::FromStr};

use harness_image::Reference;

use crate::{Error, Result};

/// A place where an image lives outside the store, in skopeo's words (containers-transports(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `docker://NAME`, or just a name: a registry.
    Registry(Reference),
    /// `oci:DIR[:TAG]`: an OCI image layout.
    Oci(PathBuf, Option<String>),
    /// `oci-archive:FILE[:TAG]`: the tar of one.
    OciArchive(PathBuf, Option<String>),
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive(PathBuf, Option<String>),
    /// `dir:PATH`: manifest and blobs side by side in a directory, which is not standardised.
    Dir(PathBuf),
}

impl Location {
    /// Whether this text starts as one of the transports, so that it is no plain name.
    #[must_use]
    pub fn has_transport(text: &str) -> bool {
        text.split_once(':').is_some_and(|(transport, rest)| {
            TRANSPORTS.contains(&transport) || (transport == "docker" && rest.starts_with("//"))
        })
    }
}

const TRANSPORTS: [&str; 4] = ["oci", "oci-archive", "docker-archive", "dir"];

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Location { text: text.to_owned(), why: why.to_owned() };
        if !Self::has_transport(text) {
            // containers-transports(5) has more of them; their names are also valid repositories with a tag.
            if let Some((transport, _)) = text.split_once(":/") {
                return Err(wrong(&format!(
                    "the transport {transport:?} is not known here, only docker://, oci:, oci-archive:, \
                     docker-archive: and dir: are"
                )));
            }
            return Ok(Self::Registry(text.parse()?));
        }
        let (transport, rest) = text.split_once(':').unwrap_or((text, ""));
        if transport == "docker" {
            return Ok(Self::Registry(rest.trim_start_matches("//").parse()?));
        }
        if transport == "dir" {
            return if rest.is_empty() {
                Err(wrong("after dir: stands a directory"))
            } else {
                Ok(Self::Dir(rest.into()))
            };
        }
        // The path ends at the first colon.
        let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name.to_owned())));
        if path.is_empty() {
            return Err(wrong(&format!("after {transport}: stands a path")));
        }
        if name.as_deref() == Some("") {
            return Err(wrong("the name after the path is empty"));
        }
        Ok(match transport {
            "oci" => Self::Oci(path.into(), name),
            "oci-archive" => Self::OciArchive(path.into(), name),
            _ => Self::DockerArchive(path.into(), name),
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            Self::Registry(reference) => return write!(f, "{}", reference.canonical()),
            Self::Dir(path) => ("dir", path, &None),
            Self::Oci(path, name) => ("oci", path, name),
            Self::OciArchive(path, name) => ("oci-archive", path, name),
            Self::DockerArchive(path, name) => ("docker-archive", path, name),
        };
        write!(f, "{transport}:{}", path.display())?;
        name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skopeos_words_are_understood() {
        let some = |name: &str| Some(name.to_owned());
        let cases = [
            ("oci:/a/b", Location::Oci("/a/b".into(), None)),
            ("oci:a:1.2", Location::Oci("a".into(), some("1.2"))),
            ("oci:a:x.org/b:1", Location::Oci("a".into(), some("x.org/b:1"))),
            ("oci-archive:a.tar:t", Location::OciArchive("a.tar".into(), some("t"))),
            ("docker-archive:a.tar:b:1", Location::DockerArchive("a.tar".into(), some("b:1"))),
            ("dir:/x:y", Location::Dir("/x:y".into())),
            ("docker://tiny:1", Location::Registry("docker.io/library/tiny:1".parse().unwrap())),
            ("ubuntu:18.04", Location::Registry("ubuntu:18.04".parse().unwrap())),
            ("docker:dind", Location::Registry("docker:dind".parse().unwrap())),
        ];
        for (text, location) in cases {
            assert_eq!(text.parse::<Location>().unwrap(), location, "{text}");
        }
        for text in ["oci:", "oci::x", "oci:a:", "dir:", "docker://", "docker://Bad", "atomic:/x", "https://a/b"] {
            assert!(text.parse::<Location>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("oci:a:1.2".parse::<Location>().unwrap().to_string(), "oci:a:1.2");
    }
}
