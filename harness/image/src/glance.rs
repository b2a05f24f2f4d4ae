//! Finding one name in the index without taking the whole of it apart: it has some hundred bytes for each image of the store.

use std::path::Path;

use serde::Deserialize;
use storage_layer::Digest;

use crate::{Reference, index};

/// What a name stands for, and all names of that.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub manifest: Digest,
    pub names: Vec<Reference>,
}

/// Strings with escapes are not borrowed, and make all of it fail: a name has none.
#[derive(Deserialize)]
struct Manifests<'a> {
    #[serde(borrow)]
    manifests: Vec<Manifest<'a>>,
}

#[derive(Deserialize)]
struct Manifest<'a> {
    digest: &'a str,
    #[serde(borrow, default)]
    annotations: Names<'a>,
}

#[derive(Default, Deserialize)]
struct Names<'a> {
    #[serde(rename = "io.containerd.image.name")]
    canonical: Option<&'a str>,
}

/// The image with this full name. `None` says nothing: another program's index, or a damaged one, has to be read as a whole.
pub fn find(root: &Path, wanted: &Reference) -> Option<Seen> {
    let bytes = index::read_bytes(root).ok()?;
    let index: Manifests<'_> = serde_json::from_slice(&bytes).ok()?;
    let name = wanted.canonical();
    let found = index.manifests.iter().find(|manifest| manifest.annotations.canonical == Some(&name))?;
    let same = index.manifests.iter().filter(|manifest| manifest.digest == found.digest);
    let names = same.map(|manifest| Reference::parse(manifest.annotations.canonical?).ok()).collect::<Option<_>>()?;
    Some(Seen { manifest: found.digest.parse().ok()?, names })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn find_in(json: &str, name: &str) -> Option<Seen> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.json"), json).unwrap();
        find(dir.path(), &Reference::parse(name).unwrap())
    }

    fn entry(digit: char, annotations: &str) -> String {
        let digest = digit.to_string().repeat(64);
        format!(r#"{{"mediaType":"a/b","digest":"sha256:{digest}","size":1,"annotations":{{{annotations}}}}}"#)
    }

    fn index(entries: &[String]) -> String {
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
    }

    #[test]
    fn a_name_leads_to_its_image_and_to_the_names_of_that() {
        let named = |digit, name| entry(digit, &format!(r#""io.containerd.image.name":"docker.io/library/{name}""#));
        let json = index(&[named('a', "a:1"), named('b', "b:latest"), named('a', "a:2"), entry('c', "")]);
        let seen = find_in(&json, "a:2").unwrap();
        assert_eq!(seen.manifest.hex(), "a".repeat(64));
        assert_eq!(seen.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "a:2"]);
        assert_eq!(find_in(&json, "b").unwrap().names.len(), 1);
        assert_eq!(find_in(&json, "c"), None);
    }

    #[test]
    fn what_is_not_understood_is_left_to_whoever_reads_all() {
        let partly = entry('a', r#""org.opencontainers.image.ref.name":"a:2""#);
        let named = entry('a', r#""io.containerd.image.name":"docker.io/library/a:1""#);
        assert_eq!(find_in(&index(&[named.clone(), partly]), "a:1"), None, "one of its names is not known");
        assert_eq!(find_in(&index(&[named.replace("/a:1", r"\/a:1")]), "a:1"), None);
        assert_eq!(find_in(&index(&[named.replace("sha256:", "sha512:")]), "a:1"), None);
        assert_eq!(find_in("{", "a:1"), None);
    }
}
