//! What the words of build's options mean.

use std::{collections::BTreeMap, fs, os::unix::fs::FileTypeExt, path::PathBuf};

use harness_builder::{BuildNetwork, NamedContext, Secret};
use harness_image::Reference;
use harness_transfer::Location;

use crate::failure::{Failure, Result};

/// `NAME` alone takes the value of the environment, if there is one.
pub fn argument(pair: &str) -> Option<(String, String)> {
    match pair.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(pair).ok().map(|value| (pair.to_owned(), value)),
    }
}

/// What `--network` says, of the words that it may.
pub fn network(name: &str) -> BuildNetwork {
    match name {
        "none" => BuildNetwork::None,
        "host" => BuildNetwork::Host,
        "bridge" => BuildNetwork::Bridge,
        _ => BuildNetwork::Sandbox,
    }
}

/// What a name of the Dockerfile is to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// What the builder finds itself.
    Here(NamedContext),
    /// A repository or an archive elsewhere.
    Address(String),
    /// An image of an OCI layout.
    Layout(Location),
}

/// `NAME=DIRECTORY`, `NAME=URL`, `NAME=oci-layout://DIRECTORY[:TAG|@DIGEST]` or `NAME=docker-image://NAME`, as buildx has them.
pub fn context(text: &str) -> Result<(String, Context), String> {
    let pair = text.split_once('=').filter(|(name, place)| !name.is_empty() && !place.is_empty());
    let Some((name, place)) = pair else { return Err(format!("write NAME=DIRECTORY, not {text:?}")) };
    let wrong = |why: &dyn std::fmt::Display| format!("the build context {name:?}: {why}");
    let context = match place.split_once("://") {
        Some(("docker-image", image)) => {
            Reference::parse(image).map_err(|error| wrong(&error))?;
            Context::Here(NamedContext::Image(image.to_owned()))
        }
        Some(("oci-layout", layout)) => match layout.split_once("@sha256:") {
            Some((dir, digits)) => Context::Layout(Location::Oci(dir.into(), Some(format!("sha256:{digits}")))),
            None => Context::Layout(format!("oci:{layout}").parse().map_err(|error| wrong(&error))?),
        },
        None if fs::metadata(place).is_ok_and(|found| found.is_dir()) => {
            Context::Here(NamedContext::Directory(place.into()))
        }
        _ if harness_builder::is_address(place) => Context::Address(place.to_owned()),
        Some((scheme, _)) => {
            let known = "directories, git://, ssh://, https://, http://, oci-layout:// and docker-image://";
            return Err(wrong(&format!("{scheme}:// is not supported; there are {known}")));
        }
        None => return Err(wrong(&format!("{place} is no directory"))),
    };
    Ok((name.to_owned(), context))
}

/// `NAME` alone has no value.
pub fn label(pair: &str) -> Result<(String, String)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    if name.is_empty() {
        return Err(Failure::usage(format!("--label takes NAME=VALUE, not {pair:?}")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `id=ID,src=FILE` or `id=ID,env=NAME`; the id alone is a variable of the environment, or else a file.
pub fn secret(text: &str) -> Result<(String, Secret)> {
    let mut words = words("--secret", text, &["id", "src", "source", "env", "type"])?;
    let kind = words.remove("type");
    let id = words.remove("id").ok_or_else(|| Failure::usage(format!("--secret needs an id: {text:?}")))?;
    let mut file = words.remove("src").or_else(|| words.remove("source"));
    let mut variable = words.remove("env");
    match kind.as_deref() {
        None | Some("file") => {}
        Some("env") => variable = variable.or_else(|| file.take()).or_else(|| Some(id.clone())),
        Some(other) => return Err(Failure::usage(format!("--secret is of type file or env, not {other:?}"))),
    }
    if file.is_none() && variable.is_none() {
        let names_variable = kind.is_none() && std::env::var_os(&id).is_some();
        if names_variable { variable = Some(id.clone()) } else { file = Some(id.clone()) }
    }
    if let Some(name) = variable {
        let Some(value) = std::env::var_os(&name) else {
            return Err(Failure::usage(format!("the secret {id} is not there: the variable {name} is not set")));
        };
        return Ok((id, Secret::Value(std::os::unix::ffi::OsStringExt::into_vec(value))));
    }
    let file = PathBuf::from(file.unwrap_or_default());
    if !file.is_file() {
        return Err(Failure::usage(format!("the secret {id} is not there: {}", file.display())));
    }
    Ok((id, Secret::File(file)))
}

/// `ID` or `ID=SOCKET`.
pub fn agent(text: &str) -> Result<(String, PathBuf)> {
    let (id, socket) = text.split_once('=').map_or((text, None), |(id, socket)| (id, Some(socket.to_owned())));
    let socket = socket.or_else(|| std::env::var("SSH_AUTH_SOCK").ok());
    let socket = socket.ok_or_else(|| Failure::usage("--ssh needs a socket: SSH_AUTH_SOCK is not set"))?;
    match fs::metadata(&socket) {
        Ok(found) if found.file_type().is_socket() => Ok((id.to_owned(), socket.into())),
        Ok(_) => {
            let why = format!("--ssh takes the socket of an agent, and {socket} is none; keys are for ssh-add");
            Err(Failure::usage(why))
        }
        Err(error) => Err(Failure::usage(format!("--ssh cannot use {socket}: {error}"))),
    }
}

/// `name=value` with commas between.
pub fn words(option: &str, text: &str, known: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut words = BTreeMap::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if !known.contains(&name) || value.is_empty() {
            let known = known.iter().map(|name| format!("{name}=...")).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("{option} takes {known}; not {word:?}")));
        }
        words.insert(name.to_owned(), value.to_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_files_and_variables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "s").unwrap();
        let text = format!("id=a,src={}", path.display());
        assert!(matches!(secret(&text), Ok((id, Secret::File(found))) if id == "a" && found == path));
        for text in ["id=a,env=PATH", "type=env,id=PATH", "id=PATH", "id=x,type=env,src=PATH"] {
            assert!(matches!(secret(text), Ok((_, Secret::Value(_)))), "{text}");
        }
        for text in ["src=/x", "id=a,src=/none/there", "id=a,env=NO_SUCH_VARIABLE", "id=a,what=x", "id=a,type=key"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }

    #[test]
    fn contexts_are_directories_layouts_and_images() {
        let here = |context| Ok(("a".to_owned(), Context::Here(context)));
        assert_eq!(context("a=/etc"), here(NamedContext::Directory("/etc".into())));
        assert_eq!(context("a=docker-image://x:1"), here(NamedContext::Image("x:1".to_owned())));
        for address in ["https://x.org/y.tar", "git://x.org/y#v1:z", "git@x.org:y"] {
            assert_eq!(context(&format!("a={address}")), Ok(("a".to_owned(), Context::Address(address.to_owned()))));
        }
        let layout = Location::Oci("/d".into(), Some("t".to_owned()));
        assert_eq!(context("a=oci-layout:///d:t"), Ok(("a".to_owned(), Context::Layout(layout))));
        let layout = Location::Oci("/d".into(), Some("sha256:12".to_owned()));
        assert_eq!(context("a=oci-layout:///d@sha256:12"), Ok(("a".to_owned(), Context::Layout(layout))));
        for text in ["a", "=/etc", "a=", "a=/none/there", "a=ftp://x/y", "a=docker-image://Bad", "a=/etc/hostname"] {
            assert!(context(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_sockets_are_agents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(agent(&format!("default={}", path.display())).is_ok());
        assert!(agent("default=/etc/hostname").is_err() && agent("default=/none").is_err());
    }
}
