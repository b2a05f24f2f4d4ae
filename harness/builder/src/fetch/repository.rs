use percent_encoding::percent_decode_str;

use super::git::{is_commit, is_part_of_commit};

/// What queries of a repository's address may say.
const QUERIES: &str = "ref, tag, branch, commit, checksum, subdir, keep-git-dir and submodules";

/// A git repository, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where it is, as git is told.
    pub url: String,
    /// A branch, a tag or a commit; its HEAD for an empty one.
    pub reference: String,
    /// The name of the commit that this has to lead to, or its beginning.
    pub commit: Option<String>,
    /// A directory in it.
    pub subdirectory: String,
    /// Whether `.git` is a part of the tree, where the address says so.
    pub keep_git_dir: Option<bool>,
    /// Its submodules are parts of the tree.
    pub submodules: bool,
}

impl Repository {
    /// Reads `URL#REFERENCE:DIRECTORY` and `URL?QUERY`, and both together (docs.docker.com/build/concepts/context, "URL
    /// fragments" and "URL queries").
    ///
    /// # Errors
    /// A query that is not known, has no value, or contradicts another or the fragment.
    pub fn read(text: &str) -> Result<Self, String> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (url, query) = before.split_once('?').unwrap_or((before, ""));
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut repository = Self {
            url: url.to_owned(),
            reference: reference.to_owned(),
            commit: None,
            subdirectory: subdirectory.to_owned(),
            keep_git_dir: None,
            submodules: true,
        };
        let mut known: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if known.contains(&name) {
                return Err(format!("its address has {name} twice"));
            }
            known.push(name);
            repository.take(name, decoded(value)?)?;
        }
        // A commit alone is what is wanted, and no matter of where HEAD is just now.
        if let Some(commit) = repository.commit.as_deref().filter(|commit| is_commit(commit))
            && repository.reference.is_empty()
        {
            repository.reference = commit.to_owned();
        }
        Ok(repository)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        // Go's names of a yes and a no, as everywhere in BuildKit; the name alone is a yes.
        let switch = || match value.as_str() {
            "" => Ok(true),
            text => crate::builtin::switch(text)
                .ok_or_else(|| format!("{name} of its address is true or false, not {value:?}")),
        };
        match name {
            "keep-git-dir" => self.keep_git_dir = Some(switch()?),
            "submodules" => self.submodules = switch()?,
            _ if value.is_empty() => return Err(format!("{name} of its address has no value")),
            "ref" => agree(&mut self.reference, value)?,
            "tag" => agree(&mut self.reference, full("refs/tags/", value))?,
            "branch" => agree(&mut self.reference, full("refs/heads/", value))?,
            "subdir" => agree(&mut self.subdirectory, value)?,
            "commit" | "checksum" => self.expect(&value)?,
            _ => return Err(format!("its address has the query {name:?}; known are {QUERIES}")),
        }
        Ok(())
    }

    /// Demands a commit, by its name or the beginning of it.
    ///
    /// # Errors
    /// What is no such name, and another one than before.
    pub fn expect(&mut self, commit: &str) -> Result<(), String> {
        if !is_part_of_commit(commit) {
            return Err(format!("a commit is told by its hexadecimal digits, not by {commit:?}"));
        }
        let commit = commit.to_ascii_lowercase();
        match &self.commit {
            Some(known) if *known != commit => Err(format!("it is to be commit {known}, and to be {commit}")),
            _ => {
                self.commit = Some(commit);
                Ok(())
            }
        }
    }

    /// The commit that git resolved the reference to, if it is the one that was demanded.
    ///
    /// # Errors
    /// Both, for people.
    pub fn checked<'c>(&self, found: &'c str) -> Result<&'c str, String> {
        match &self.commit {
            Some(wanted) if !found.to_ascii_lowercase().starts_with(wanted) => {
                Err(format!("it is commit {found}, not {wanted}"))
            }
            _ => Ok(found),
        }
    }
}

/// Gives a value that has none yet.
fn agree(known: &mut String, value: String) -> Result<(), String> {
    if !known.is_empty() && *known != value {
        return Err(format!("its address says both {known} and {value}"));
    }
    *known = value;
    Ok(())
}

fn full(place: &str, name: String) -> String {
    if name.starts_with(place) { name } else { format!("{place}{name}") }
}

/// A value as the URL standard has it in queries: `%41` is `A`, and `+` a space.
fn decoded(value: &str) -> Result<String, String> {
    let spaced = value.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
    text.map_err(|_| format!("{value:?} of its address is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_and_queries() {
        const FULL: &str = "0123456789abcdef0123456789abcdef01234567";
        let plain = |url: &str, reference: &str, subdirectory: &str| Repository {
            url: url.to_owned(),
            reference: reference.to_owned(),
            commit: None,
            subdirectory: subdirectory.to_owned(),
            keep_git_dir: None,
            submodules: true,
        };
        let x = |reference: &str, subdirectory: &str| plain("https://x.org/y.git", reference, subdirectory);
        let with = |commit: &str, repository| Repository { commit: Some(commit.to_owned()), ..repository };
        for (rest, expected) in [
            ("", x("", "")),
            ("#", x("", "")),
            ("#v1", x("v1", "")),
            ("#release/1.2:a/b", x("release/1.2", "a/b")),
            ("#:a", x("", "a")),
            ("?ref=v1.0.0&subdir=/sub", x("v1.0.0", "/sub")),
            ("?subdir=/sub#v1", x("v1", "/sub")),
            ("?ref=v1#v1", x("v1", "")),
            ("?tag=v1", x("refs/tags/v1", "")),
            ("?tag=refs/tags/v1", x("refs/tags/v1", "")),
            ("?branch=a%2Fb+c", x("refs/heads/a/b c", "")),
            ("?ref=pull/42/head", x("pull/42/head", "")),
            ("?tag=v1&commit=66735C67", with("66735c67", x("refs/tags/v1", ""))),
            ("?checksum=66735c67", with("66735c67", x("", ""))),
            (&format!("?checksum={FULL}"), with(FULL, x(FULL, ""))),
            ("?keep-git-dir&submodules=0", Repository { keep_git_dir: Some(true), submodules: false, ..x("", "") }),
            ("?keep-git-dir=False&submodules=", Repository { keep_git_dir: Some(false), ..x("", "") }),
        ] {
            assert_eq!(Repository::read(&format!("https://x.org/y.git{rest}")), Ok(expected), "{rest}");
        }
        let scp = Repository::read("git@x.org:y.git?subdir=/sub#v1");
        assert_eq!(scp, Ok(plain("git@x.org:y.git", "v1", "/sub")));
        for (rest, part) in [
            ("?ref=a#b", "both b and a"),
            ("?ref=a&tag=a", "both a and refs/tags/a"),
            ("?tag=a&branch=a", "both refs/tags/a and refs/heads/a"),
            ("?subdir=a#:b", "both b and a"),
            ("?ref=", "ref of its address has no value"),
            ("?ref=a&ref=a", "ref twice"),
            ("?commit=v1", "hexadecimal digits"),
            ("?commit=ab&checksum=cd", "commit ab, and to be cd"),
            ("?submodules=maybe", "true or false"),
            ("?ref=%ff", "no text"),
            ("?invalid=123", "the query \"invalid\"; known are ref"),
        ] {
            let error = Repository::read(&format!("https://x.org/y.git{rest}")).expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
    }

    #[test]
    fn a_commit_is_held_against_its_beginning() {
        let repository = Repository::read("git://x.org/y?commit=ABCD").unwrap();
        assert_eq!(repository.checked("abcd12"), Ok("abcd12"));
        assert_eq!(repository.checked("abce12").unwrap_err(), "it is commit abce12, not abcd");
    }
}
