use std::{path::PathBuf, str::FromStr};

use harness_image::Reference;

use crate::{Error, Platform, Result};

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether TLS is asked for and certificates are checked. Registries on this machine may do without in any case.
    pub tls_verify: bool,
    /// Where to look first.
    pub mirrors: Vec<Mirror>,
    /// Where credentials are; docker's own file when there is none.
    pub auth_file: Option<PathBuf>,
    /// A directory with further certificates, beside the system's and docker's: `*.crt` are trusted, `NAME.cert` with
    /// `NAME.key` is shown to registries that ask who is there.
    pub certificates: Option<PathBuf>,
    /// How many layers move side by side.
    pub parallel: usize,
    /// What an image that is taken is to run on; this machine by default.
    pub platform: Option<Platform>,
}

impl Default for Options {
    /// As docker: three layers side by side, TLS.
    fn default() -> Self {
        Self { tls_verify: true, mirrors: Vec::new(), auth_file: None, certificates: None, parallel: 3, platform: None }
    }
}

/// A registry that has what another one has: `[HOST=]URL`, of docker.io where no host is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Whose mirror it is.
    pub of: String,
    /// Its own host and port.
    pub host: String,
    /// Whether it was named with `http:`, and so does without TLS.
    pub plain: bool,
}

impl FromStr for Mirror {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Location { text: text.to_owned(), why: why.to_owned() };
        let (of, url) = match text.split_once('=') {
            Some((of, url)) => (of, url),
            None => ("docker.io", text),
        };
        let (plain, host) = match url.split_once("://") {
            Some(("https", host)) => (false, host),
            Some(("http", host)) => (true, host),
            Some(_) => return Err(wrong("a mirror is named as https://HOST or http://HOST")),
            None => (false, url),
        };
        let host = host.trim_end_matches('/');
        if !is_host(host) || !is_host(of) {
            return Err(wrong("a mirror is named as [HOST=]URL, and a URL as https://HOST, without a path"));
        }
        Ok(Self { of: of.to_owned(), host: host.to_owned(), plain })
    }
}

/// Whether a registry can be called so: the rules are those of a reference's domain.
pub fn is_host(host: &str) -> bool {
    let is_domain = |name: Reference| name.repository().starts_with(&format!("{host}/"));
    !host.contains('/') && format!("{host}/a").parse().is_ok_and(is_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read() {
        let mirror = |of: &str, host: &str, plain| Mirror { of: of.into(), host: host.into(), plain };
        let cases = [
            ("https://mirror.org", mirror("docker.io", "mirror.org", false)),
            ("http://localhost:5000/", mirror("docker.io", "localhost:5000", true)),
            ("ghcr.io=mirror.org:80", mirror("ghcr.io", "mirror.org:80", false)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Mirror>().unwrap(), expected);
        }
        for text in ["", "ftp://x.org", "https://x.org/path", "https://user@x.org", "a b=x.org", "="] {
            assert!(text.parse::<Mirror>().is_err(), "{text:?} was accepted");
        }
    }
}
