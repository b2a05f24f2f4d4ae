//! Names that mean something else than a stage or an image of that name: `build --build-context`.

use std::{collections::BTreeMap, path::PathBuf};

use harness_image::Reference;

/// What such a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// The files of a directory, without those that its own `.dockerignore` excludes.
    Directory(PathBuf),
    /// Another image, by name or id.
    Image(String),
}

/// What names mean.
pub type NamedContexts = BTreeMap<String, NamedContext>;

/// The context that a name of the Dockerfile stands for. Case does not count, and neither do the parts of an image's name
/// that may be left out.
pub fn find<'a>(contexts: &'a NamedContexts, name: &str) -> Option<&'a NamedContext> {
    let lower = name.to_lowercase();
    if let Some((_, exact)) = contexts.iter().find(|(given, _)| given.to_lowercase() == lower) {
        return Some(exact);
    }
    let wanted = Reference::parse(name).ok()?.canonical();
    let same = |given: &String| Reference::parse(given).is_ok_and(|given| given.canonical() == wanted);
    contexts.iter().find(|(given, _)| same(given)).map(|(_, context)| context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_written() {
        let contexts: NamedContexts =
            ["alpine", "Src", "x.org/a:1"].map(|name| (name.to_owned(), NamedContext::Image(name.to_owned()))).into();
        for (name, found) in [
            ("alpine", Some("alpine")),
            ("alpine:latest", Some("alpine")),
            ("docker.io/library/alpine", Some("alpine")),
            ("SRC", Some("Src")),
            ("x.org/a:1", Some("x.org/a:1")),
            ("alpine:3", None),
            ("x.org/a", None),
            ("", None),
        ] {
            let expected = found.map(|name| NamedContext::Image(name.to_owned()));
            assert_eq!(find(&contexts, name), expected.as_ref(), "{name}");
        }
    }
}
