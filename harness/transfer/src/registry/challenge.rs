//! `WWW-Authenticate`: what a registry wants to see (RFC 9110, 11.6.1; RFC 6750, 3).

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token that `realm` gives out.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// For whom; some leave it out.
        service: Option<String>,
        /// What for, as the registry sees it.
        scope: Option<String>,
    },
}

/// Headers longer than this are not looked at.
const MOST: usize = 4096;

impl Challenge {
    /// Reads one header. A token is preferred where there is a choice: the password is then sent to fewer places.
    pub fn parse(header: &str) -> Option<Self> {
        let header = header.get(..MOST.min(header.len()))?;
        let (scheme, parameters) = header.trim_start().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        let mut rest = parameters;
        while let Some((name, value, after)) = parameter(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
            rest = after;
        }
        Some(Self::Bearer { realm: realm?, service, scope })
    }
}

/// `name=value` or `name="value"`, and what follows the comma.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_matches([' ', ',', '\t']);
    let Some(quoted) = rest.strip_prefix('"') else {
        let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
        return Some((name, value.trim().to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_send_is_understood() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                Some(Challenge::Bearer {
                    realm: "https://auth.docker.io/token".into(),
                    service: some("registry.docker.io"),
                    scope: some("repository:a/b:pull,push"),
                }),
            ),
            (
                r#"bearer realm=x , error="a\"b""#,
                Some(Challenge::Bearer { realm: "x".into(), service: None, scope: None }),
            ),
            (r#"Basic realm="basic-realm""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Bearer service=\"x\"", None),
            ("Bearer realm=\"x", None),
            ("Negotiate", None),
            ("", None),
        ];
        for (header, challenge) in cases {
            assert_eq!(Challenge::parse(header), challenge, "{header}");
        }
        assert_eq!(Challenge::parse(&format!("Bearer {}", "é".repeat(5000))), None);
    }
}
