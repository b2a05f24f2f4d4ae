//! As much of URLs as redirects, upload locations and tokens take.

/// `scheme://authority` and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it does without TLS.
    pub plain: bool,
    /// Host and port.
    pub authority: String,
    /// From the first slash on.
    pub path: String,
}

impl Url {
    /// Reads an absolute URL. Names and passwords in it are refused: they would go to somebody else.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let plain = match scheme.to_ascii_lowercase().as_str() {
            "http" => true,
            "https" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let visible = text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if authority.is_empty() || authority.contains(['@', '\\']) || !visible {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { plain, authority: authority.to_ascii_lowercase(), path })
    }

    /// Where a `Location` header leads, seen from here: another URL, or a path on the same host.
    pub fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") && !location.starts_with('/') {
            return Self::parse(location);
        }
        if !location.starts_with('/') || location.starts_with("//") {
            return None;
        }
        Self::parse(&format!("{}{location}", self.origin()))
    }

    /// With one more parameter.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let joint = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{joint}{name}={}", self.path, escape(value)), ..self.clone() }
    }

    fn origin(&self) -> String {
        format!("{}://{}", if self.plain { "http" } else { "https" }, self.authority)
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether a registry's name is this machine: only then may it do without TLS unasked.
pub fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lead_where_they_say() {
        let base = Url::parse("https://x.org/v2/a/blobs/uploads/").unwrap();
        let cases = [
            ("/v2/u?s=1", Some("https://x.org/v2/u?s=1")),
            ("https://cdn.net:8443/b", Some("https://cdn.net:8443/b")),
            ("http://X.org?q", Some("http://x.org/?q")),
            ("//evil.org/x", None),
            ("relative", None),
            ("ftp://x.org/", None),
            ("https://me:secret@x.org/", None),
            ("https://x.org/a b", None),
            ("https://x.org/\r\nHost: y", None),
        ];
        for (location, expected) in cases {
            let found = base.join(location).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
        assert_eq!(
            base.with("digest", "sha256:0 a").with("b", "c").path,
            "/v2/a/blobs/uploads/?digest=sha256%3A0%20a&b=c"
        );
    }

    #[test]
    fn this_machine_is_known() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.evil.org", "127.0.0.1.evil.org", "10.0.0.1:5000", "x.org:127", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
