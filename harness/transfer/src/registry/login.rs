//! Logging in to registries and out again.

use std::path::PathBuf;

use super::{
    Options,
    client::{Ask, Client},
    credentials::{self, Credentials, Kept},
    options::is_host,
};
use crate::{Error, Result};

/// The name of a registry, of what a person calls it: docker takes URLs too, and of those their host.
///
/// # Errors
/// [`Error::Location`] for what is no registry's name.
pub fn registry_name(text: &str) -> Result<String> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split('/').next().unwrap_or_default();
    if matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        return Ok("docker.io".to_owned());
    }
    if is_host(host) {
        return Ok(host.to_owned());
    }
    let why = "a registry is named as HOST or HOST:PORT, and a host without a dot has a port or is localhost";
    Err(Error::Location { text: text.to_owned(), why: why.to_owned() })
}

/// What is known of a registry.
///
/// # Errors
/// [`Error::Credentials`] for a file that cannot be read, or a helper that fails.
pub fn known_credentials(host: &str, options: &Options) -> Result<Option<Credentials>> {
    credentials::find(&file(options)?, host)
}

/// Asks a registry whether it lets these credentials in, and keeps them where docker does. A registry that gives an
/// identity token has that kept in place of the password.
///
/// # Errors
/// [`Error::Login`] when it does not; [`Error::Unreachable`], [`Error::Status`]; [`Error::Credentials`] when they cannot be
/// kept.
pub fn login(host: &str, credentials: Credentials, options: &Options) -> Result<Kept> {
    let file = file(options)?;
    let client = Client::reach(host, false, options, Some(credentials.clone()))?;
    let refused = |said| Error::Login { host: host.to_owned(), said };
    let answer = match client.send(&Ask::new("GET"), &client.front()) {
        Err(Error::Status { status: 401 | 403, said, .. }) => return Err(refused(said)),
        answer => answer?,
    };
    match answer.status().as_u16() {
        200 => {}
        401 | 403 => match client.failed("logging in", answer) {
            Error::Status { said, .. } => return Err(refused(said)),
            error => return Err(error),
        },
        _ => return Err(client.failed("logging in", answer)),
    }
    let credentials = client.identity().map_or(credentials, Credentials::Identity);
    credentials::keep(&file, host, &credentials)
}

/// Forgets the credentials for a registry; whether there were any.
///
/// # Errors
/// [`Error::Credentials`] when they cannot be forgotten.
pub fn logout(host: &str, options: &Options) -> Result<bool> {
    credentials::forget(&file(options)?, host)
}

fn file(options: &Options) -> Result<PathBuf> {
    options.auth_file.clone().or_else(credentials::default_file).ok_or_else(|| {
        let why = "neither DOCKER_CONFIG nor HOME says where it is; name a file with --authfile".to_owned();
        Error::Credentials { file: "config.json".into(), why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_names() {
        for (text, name) in [
            ("localhost:5000", "localhost:5000"),
            ("https://x.org/v1/", "x.org"),
            ("http://[::1]:5000", "[::1]:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
        ] {
            assert_eq!(registry_name(text).unwrap(), name, "{text}");
        }
        for text in ["", "me", "https://me:secret@x.org", "a b.org", "x.org:port", "../x.org"] {
            assert!(registry_name(text).is_err(), "{text}");
        }
    }
}
