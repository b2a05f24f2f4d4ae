use std::fmt;

/// Where something is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file.
    File { url: String, name: String },
    /// A repository, a branch, tag or commit (its HEAD for none), and a directory in it.
    Git { url: String, reference: String, subdirectory: String },
}

impl Address {
    /// Reads a source of ADD; `None` for one of the build context.
    ///
    /// Repositories are told as BuildKit tells them: by `git://`, `ssh://` and `user@host:path`, and by the ending
    /// `.git` of an address of the web.
    pub fn read(text: &str) -> Option<Self> {
        let lower = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
        let (scheme, rest) = match text.split_once("://") {
            Some((_, rest)) => (lower.as_str(), rest),
            None if is_scp(text) => ("ssh", text),
            None => return None,
        };
        let path = rest.split(['#', '?']).next().unwrap_or_default();
        match scheme {
            "git" | "ssh" => Some(Self::git(text)),
            "http" | "https" if path.ends_with(".git") => Some(Self::git(text)),
            "http" | "https" => Some(Self::File { url: text.to_owned(), name: file_name(path) }),
            _ => None,
        }
    }

    /// Reads a build context; `None` for one of this machine. Beside what ADD knows there is docker's short form for one
    /// host.
    pub fn of_context(text: &str) -> Option<Self> {
        if text.starts_with("github.com/") {
            return Some(Self::git(&format!("https://{text}")));
        }
        Self::read(text)
    }

    /// `URL#REFERENCE:DIRECTORY`
    fn git(text: &str) -> Self {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        Self::Git { url: url.to_owned(), reference: reference.to_owned(), subdirectory: subdirectory.to_owned() }
    }
}

/// Without what may be a password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File { url, .. } | Self::Git { url, .. }) = self;
        match url.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split('/').next().unwrap_or_default();
                let user = host.rfind('@').map_or(0, |at| at + 1);
                write!(f, "{scheme}://{}", &rest[user..])
            }
            None => f.write_str(url),
        }
    }
}

/// `user@host:path`
fn is_scp(text: &str) -> bool {
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            && !text.starts_with('-')
    };
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    plain(user, "-_.") && plain(host, "-.")
}

/// The last part of the address's path, as BuildKit names the file.
fn file_name(path: &str) -> String {
    let name = match path.split_once('/') {
        Some((_, below)) => below.trim_end_matches('/').rsplit('/').next().unwrap_or_default(),
        None => "",
    };
    let name = decoded(name);
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return "__unnamed__".to_owned();
    }
    name
}

/// `%41` is `A`; what is no such form, or no text, stays.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).filter(|hex| !hex.starts_with('+'));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'%') {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_files_are_told_apart() {
        let name = |text: &str| match Address::read(text) {
            Some(Address::File { name, .. }) => name,
            Some(Address::Git { url, reference, subdirectory }) => format!("{url} {reference} {subdirectory}"),
            None => "here".to_owned(),
        };
        for (text, expected) in [
            ("https://example.org/a/b.tar.gz?x=/y", "b.tar.gz"),
            ("HTTP://example.org/a%20b", "a b"),
            ("http://example.org/a%2fb", "__unnamed__"),
            ("http://example.org", "__unnamed__"),
            ("http://example.org/x/..", "__unnamed__"),
            ("http://example.org/dir/", "dir"),
            ("https://example.org/x.git", "https://example.org/x.git  "),
            ("https://example.org/x.git#v1:sub/dir", "https://example.org/x.git v1 sub/dir"),
            ("git@example.org:a/b.git#main", "git@example.org:a/b.git main "),
            ("ssh://git@example.org/a", "ssh://git@example.org/a  "),
            ("-oProxyCommand=x@example.org:a", "here"),
            ("file:///etc/passwd", "here"),
            ("ext::sh -c true", "here"),
            ("a@b", "here"),
            ("plain.txt", "here"),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
        let short = Address::of_context("github.com/a/b#main:c");
        assert!(matches!(short, Some(Address::Git { url, .. }) if url == "https://github.com/a/b"));
        assert_eq!(Address::of_context("./git"), None);
        let secret = Address::read("https://me:secret@example.org/x@y").unwrap();
        assert_eq!(secret.to_string(), "https://example.org/x@y");
    }
}
