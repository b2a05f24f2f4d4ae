use std::fmt;

use percent_encoding::percent_decode_str;

use super::Repository;

/// Where something is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file.
    File { url: String, name: String },
    /// A git repository.
    Git(Repository),
}

impl Address {
    /// Reads a source of ADD; `None` for one of the build context.
    ///
    /// Repositories are told as BuildKit tells them: by `git://`, `ssh://` and `user@host:path`, and by the ending
    /// `.git` of an address of the web.
    ///
    /// # Errors
    /// What a repository's address asks for and cannot have.
    pub fn read(text: &str) -> Result<Option<Self>, String> {
        let lower = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
        let (scheme, rest) = match text.split_once("://") {
            Some((_, rest)) => (lower.as_str(), rest),
            None if is_scp(text) => ("ssh", text),
            None => return Ok(None),
        };
        let path = rest.split(['#', '?']).next().unwrap_or_default();
        Ok(match scheme {
            "git" | "ssh" => Some(Self::Git(Repository::read(text)?)),
            "http" | "https" if path.ends_with(".git") => Some(Self::Git(Repository::read(text)?)),
            "http" | "https" => Some(Self::File { url: text.to_owned(), name: file_name(path) }),
            _ => None,
        })
    }

    /// Reads a build context; `None` for one of this machine. Beside what ADD knows there is docker's short form for one
    /// host.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn of_context(text: &str) -> Result<Option<Self>, String> {
        if text.starts_with("github.com/") {
            return Ok(Some(Self::Git(Repository::read(&format!("https://{text}"))?)));
        }
        Self::read(text)
    }
}

/// Without what may be a password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File { url, .. } | Self::Git(Repository { url, .. })) = self;
        f.write_str(&without_user(url))
    }
}

/// An address without what may be a password.
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.split('/').next().unwrap_or_default();
    let user = host.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[user..])
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

/// `%41` is `A`; what is no text then stays.
fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8().map_or_else(|_| name.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_files_are_told_apart() {
        let name = |text: &str| match Address::read(text).unwrap() {
            Some(Address::File { name, .. }) => name,
            Some(Address::Git(git)) => format!("{} {} {}", git.url, git.reference, git.subdirectory),
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
            ("https://example.org/x.git?tag=v1&subdir=sub", "https://example.org/x.git refs/tags/v1 sub"),
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
        let short = Address::of_context("github.com/a/b?tag=v1#:c");
        assert!(matches!(short, Ok(Some(Address::Git(git))) if git.url == "https://github.com/a/b"));
        assert_eq!(Address::of_context("./git"), Ok(None));
        assert!(Address::read("https://example.org/x.git?what=x").is_err());
        let secret = Address::read("https://me:secret@example.org/x@y").unwrap().unwrap();
        assert_eq!(secret.to_string(), "https://example.org/x@y");
    }
}
