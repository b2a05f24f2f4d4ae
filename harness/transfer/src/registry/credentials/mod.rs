//! Credentials in docker's `config.json` and with its helpers.

mod helper;
mod keep;

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

pub use self::keep::{Kept, forget, keep};
use crate::{Error, Result};

/// The registry of docker.io goes by this name in docker's files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// How to prove who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Name and password.
    Password(String, String),
    /// A token that can be exchanged for others (OAuth 2's refresh token).
    Identity(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(..) => "Password(..)",
            Self::Identity(_) => "Identity(..)",
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

impl Config {
    /// The helper that knows of a registry: its own, or the general one.
    fn helper(&self, host: &str) -> Option<&str> {
        let own = names(host).iter().find_map(|name| self.cred_helpers.get(name));
        own.or(self.creds_store.as_ref()).map(String::as_str).filter(|helper| !helper.is_empty())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// The file where `docker login` keeps credentials: `$DOCKER_CONFIG/config.json`, or that in `~/.docker`.
pub fn default_file() -> Option<PathBuf> {
    let dir = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".docker"));
    Some(dir.or_else(home)?.join("config.json"))
}

/// What a file says about a registry; `None` when it says nothing, or is not there.
///
/// A helper for this registry goes before the general one, and that before what the file itself has, as in docker.
///
/// # Errors
/// [`Error::Credentials`] for a file that cannot be read, or a helper that fails.
pub fn find(file: &Path, host: &str) -> Result<Option<Credentials>> {
    let wrong = |why: String| Error::Credentials { file: file.to_owned(), why };
    let Some(text) = text_of(file)? else { return Ok(None) };
    let config: Config = serde_json::from_slice(&text).map_err(|error| wrong(format!("it is malformed: {error}")))?;
    if let Some(helper) = config.helper(host) {
        for name in &names(host) {
            if let Some(found) = helper::get(helper, name).map_err(wrong)? {
                return Ok(Some(found));
            }
        }
    }
    let names = names(host);
    let found = names.iter().find_map(|name| config.auths.get(name));
    found
        .map(|auth| read(auth).map_err(|why| wrong(format!("what it has for {host} {why}"))))
        .transpose()
        .map(Option::flatten)
}

/// What is in the file; `None` where there is none, or nothing in it.
fn text_of(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Credentials { file: file.to_owned(), why: format!("it cannot be read: {error}") }),
    }
}

/// Under what a registry is written down.
fn key(host: &str) -> &str {
    if is_docker_hub(host) { DOCKER_HUB } else { host }
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "registry-1.docker.io" | "index.docker.io")
}

/// Under what a registry may be written down.
fn names(host: &str) -> Vec<String> {
    let mut names = vec![host.to_owned(), format!("https://{host}"), format!("http://{host}")];
    names.extend(["/v1/", "/v2/"].map(|end| format!("https://{host}{end}")));
    if is_docker_hub(host) {
        names.splice(0..0, [DOCKER_HUB.to_owned(), "docker.io".to_owned()]);
    }
    names
}

fn read(auth: &Auth) -> Result<Option<Credentials>, String> {
    if let Some(token) = auth.identitytoken.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Identity(token.clone())));
    }
    if let (Some(name), Some(password)) = (&auth.username, &auth.password) {
        return Ok(Some(Credentials::Password(name.clone(), password.clone())));
    }
    let Some(encoded) = auth.auth.as_ref().filter(|encoded| !encoded.is_empty()) else { return Ok(None) };
    let plain = STANDARD.decode(encoded.trim()).map_err(|error| format!("is not base64: {error}"))?;
    let plain = String::from_utf8(plain).map_err(|_| "is not UTF-8".to_owned())?;
    let (name, password) = plain.split_once(':').ok_or("is not NAME:PASSWORD")?;
    Ok(Some(Credentials::Password(name.to_owned(), password.trim_end_matches('\0').to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str) -> Result<Option<Credentials>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        fs::write(&file, text).unwrap();
        find(&file, host)
    }

    fn password(name: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password(name.into(), password.into()))
    }

    #[test]
    fn what_docker_login_wrote_is_found() {
        let text = format!(
            r#"{{"auths": {{"localhost:5000": {{"auth": "{}"}}, "https://x.org": {{"username": "u", "password": "p:q"}},
            "{DOCKER_HUB}": {{"identitytoken": "t"}}, "empty.org": {{}}, "bad.org": {{"auth": "%%"}}}}}}"#,
            STANDARD.encode("me:se:cret")
        );
        assert_eq!(found(&text, "localhost:5000").unwrap(), password("me", "se:cret"));
        assert_eq!(found(&text, "x.org").unwrap(), password("u", "p:q"));
        assert_eq!(found(&text, "docker.io").unwrap(), Some(Credentials::Identity("t".into())));
        for host in ["other.org", "empty.org", "x.org:5000"] {
            assert_eq!(found(&text, host).unwrap(), None);
        }
        assert!(found(&text, "bad.org").unwrap_err().to_string().contains("not base64"));
        assert!(found("{", "x").unwrap_err().to_string().contains("malformed"));
        assert_eq!(find(Path::new("/nonexistent/config.json"), "x").unwrap(), None);
    }

    #[test]
    fn helpers_are_programs_of_a_certain_name_only() {
        for helper in ["../x", "/bin/sh", "-x"] {
            let text = format!(r#"{{"credsStore": "{helper}"}}"#);
            assert!(found(&text, "x.org").unwrap_err().to_string().contains("no name of a credential helper"));
        }
        let text = r#"{"credHelpers": {"x.org": "surely-not-installed"}}"#;
        assert!(found(text, "x.org").unwrap_err().to_string().contains("docker-credential-surely-not-installed"));
        assert_eq!(found(text, "y.org").unwrap(), None);
    }
}
