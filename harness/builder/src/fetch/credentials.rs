//! Who a build is for servers: secrets of the build by the names that BuildKit knows (docs.docker.com/build/building/secrets,
//! "Git authentication for remote contexts", "HTTP authentication for ADD").

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::Secret;

/// Secrets by id.
pub type Secrets = BTreeMap<String, Secret>;

/// The value of `Authorization` for a file: `HTTP_AUTH_HEADER_HOST` as it is, or a bearer's `HTTP_AUTH_TOKEN_HOST`.
pub fn of_http(secrets: &Secrets, url: &str) -> Result<Option<String>, String> {
    let Some(host) = host(url) else { return Ok(None) };
    if let Some(header) = text(secrets, &format!("HTTP_AUTH_HEADER_{host}"))? {
        return Ok(Some(header));
    }
    Ok(text(secrets, &format!("HTTP_AUTH_TOKEN_{host}"))?.map(|token| format!("Bearer {token}")))
}

/// The same for a repository of the web: `GIT_AUTH_HEADER` or a password's `GIT_AUTH_TOKEN`, those with `.HOST` first.
pub fn of_git(secrets: &Secrets, url: &str) -> Result<Option<String>, String> {
    let Some(host) = host(url) else { return Ok(None) };
    for end in [format!(".{host}"), String::new()] {
        if let Some(header) = text(secrets, &format!("GIT_AUTH_HEADER{end}"))? {
            return Ok(Some(header));
        }
        if let Some(token) = text(secrets, &format!("GIT_AUTH_TOKEN{end}"))? {
            return Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{token}")))));
        }
    }
    Ok(None)
}

/// Scheme and host of an address of the web, to which alone they are told.
pub fn site(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    host(url).map(|host| format!("{}://{host}/", scheme.to_ascii_lowercase()))
}

/// With the port, where there is one.
fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(host)
}

/// A secret that goes into a line of a request; the line's end that a file has is no part of it.
fn text(secrets: &Secrets, id: &str) -> Result<Option<String>, String> {
    let Some(secret) = secrets.get(id) else { return Ok(None) };
    let content = secret.read().map_err(|error| error.to_string())?;
    let text = String::from_utf8(content).unwrap_or_default().trim_end().to_owned();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("the secret {id} is no line of text"));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_counts() {
        let secrets: Secrets = [
            ("HTTP_AUTH_TOKEN_x.org:81", "t\n"),
            ("HTTP_AUTH_TOKEN_y.org", "t"),
            ("HTTP_AUTH_HEADER_y.org", "Basic abc"),
            ("HTTP_AUTH_TOKEN_bad.org", "a\r\nHost: other"),
            ("GIT_AUTH_TOKEN", "general"),
            ("GIT_AUTH_HEADER.x.org:81", "Own header"),
        ]
        .map(|(id, value)| (id.to_owned(), Secret::Value(value.into())))
        .into();
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(of_http(&secrets, "https://me@x.org:81/a?b"), some("Bearer t"));
        assert_eq!(of_http(&secrets, "http://y.org"), some("Basic abc"));
        assert_eq!(of_http(&secrets, "https://x.org/a"), Ok(None));
        assert!(of_http(&secrets, "https://bad.org/").unwrap_err().contains("no line of text"));
        assert_eq!(of_git(&secrets, "HTTPS://x.org:81/a.git"), some("Own header"));
        assert_eq!(of_git(&secrets, "https://z.org/a.git"), some("Basic eC1hY2Nlc3MtdG9rZW46Z2VuZXJhbA=="));
        assert_eq!(of_git(&secrets, "ssh://z.org/a.git"), Ok(None));
        assert_eq!(site("HTTPS://me:pw@z.org:1/a.git").as_deref(), Some("https://z.org:1/"));
    }
}
