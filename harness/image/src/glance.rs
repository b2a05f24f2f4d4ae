//! Finding one name in the index without taking the rest of it apart: it has some hundred bytes for each image of the store, and
//! reading those as JSON takes a millisecond where there are a thousand.

use std::path::Path;

use memchr::memmem;
use serde::Deserialize;
use storage_layer::Digest;

use crate::{Reference, index};

/// What a name stands for, and all names of that.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub manifest: Digest,
    pub names: Vec<Reference>,
}

/// How each entry with a name begins that this program wrote, its keys in order. Within a string its quotes would be escaped, so
/// that it begins an object wherever it stands.
const BEGINNING: &[u8] = br#"{"annotations":"#;

/// Strings with escapes are not borrowed, and make all of it fail: a name has none.
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

/// The image with this full name. `None` says nothing: another program's index has to be read as a whole. What is damaged elsewhere in the
/// index is not seen.
pub fn find(root: &Path, wanted: &Reference) -> Option<Seen> {
    let bytes = index::read_bytes(root).ok()?;
    let name = wanted.canonical();
    let annotation = format!(r#""{}":"{name}""#, index::CANONICAL_NAME);
    let found = around(&bytes, memmem::find(&bytes, annotation.as_bytes())?)?;
    if found.annotations.canonical != Some(&name) {
        return None;
    }
    let mut names = Vec::new();
    for at in memmem::find_iter(&bytes, format!("\"{}\"", found.digest).as_bytes()) {
        let same = around(&bytes, at).filter(|same| same.digest == found.digest)?;
        names.push(Reference::parse(same.annotations.canonical?).ok()?);
    }
    Some(Seen { manifest: found.digest.parse().ok()?, names })
}

/// The entry that a place is in.
fn around(index: &[u8], at: usize) -> Option<Manifest<'_>> {
    let start = memmem::rfind(&index[..at], BEGINNING)?;
    let mut objects = serde_json::Deserializer::from_slice(&index[start..]).into_iter::<Manifest<'_>>();
    let entry = objects.next()?.ok()?;
    (at < start + objects.byte_offset()).then_some(entry)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use oci_spec::image::ImageConfigurationBuilder;

    use super::*;
    use crate::{Durability, Store};

    fn find_in(json: &str, name: &str) -> Option<Seen> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.json"), json).unwrap();
        find(dir.path(), &Reference::parse(name).unwrap())
    }

    fn entry(digit: char, annotations: &str) -> String {
        let digest = digit.to_string().repeat(64);
        format!(r#"{{"annotations":{{{annotations}}},"digest":"sha256:{digest}","mediaType":"a/b","size":1}}"#)
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

    /// Else every container would read all of it, and nobody would notice.
    #[test]
    fn what_this_program_writes_is_found_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), Durability::Skip).unwrap();
        let put = |os: &str, names: &[&str]| {
            let config = ImageConfigurationBuilder::default().architecture("amd64").os(os).build().unwrap();
            let names: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
            store.put_tagged(config, Vec::new(), &names).unwrap()
        };
        let image = put("linux", &["tiny", "ghcr.io/me/app:1"]);
        put("other", &[]);
        for name in &image.references {
            let seen = find(dir.path(), name).unwrap();
            assert_eq!((seen.manifest, seen.names), (image.manifest_digest, image.references.clone()));
        }
    }

    #[test]
    fn what_is_not_understood_is_left_to_whoever_reads_all() {
        let partly = entry('a', r#""org.opencontainers.image.ref.name":"a:2""#);
        let named = entry('a', r#""io.containerd.image.name":"docker.io/library/a:1""#);
        assert_eq!(find_in(&index(&[named.clone(), partly]), "a:1"), None, "one of its names is not known");
        assert_eq!(find_in(&index(&[named.replace("/a:1", r"\/a:1")]), "a:1"), None);
        assert_eq!(find_in(&index(&[named.replace("sha256:", "sha512:")]), "a:1"), None);
        assert_eq!(find_in("{", "a:1"), None);
        let spaced = index(std::slice::from_ref(&named)).replace(':', ": ");
        assert_eq!(find_in(&spaced, "a:1"), None, "nobody but this program writes it so");
    }

    #[test]
    fn what_only_looks_like_an_entry_leads_nowhere() {
        let name = r#""io.containerd.image.name":"docker.io/library/a:1""#;
        let real = entry('b', name);
        // In a string, quotes are escaped.
        let quoted = entry('a', &format!(r#""comment":{}"#, serde_json::to_string(&real).unwrap()));
        assert_eq!(find_in(&index(&[quoted.clone(), real]), "a:1").unwrap().manifest.hex(), "b".repeat(64));
        assert_eq!(find_in(&index(&[quoted]), "a:1"), None);
        // The annotation of something within an entry, or behind all entries, is no image's.
        let inner = entry('a', &format!(r#""x":{{"annotations":{{{name}}}}}"#));
        assert_eq!(find_in(&index(std::slice::from_ref(&inner)), "a:1"), None);
        let inner = inner.replace(r#""x":{"#, r#""x":{"digest":"sha256:a","#);
        assert_eq!(find_in(&index(&[inner]), "a:1"), None);
        let behind = index(&[entry('a', "")]).replace("]}", &format!("],{name}}}"));
        assert_eq!(find_in(&behind, "a:1"), None);
    }
}
