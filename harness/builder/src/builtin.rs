//! Build arguments that are the builder's own (Dockerfile reference, "BuildKit built-in build args").

use std::collections::BTreeMap;

use harness_image::Reference;

use crate::{Error, Result};

/// What nothing here does, and why.
const NOT_HERE: [(&str, &str); 4] = [
    ("BUILDKIT_BUILD_NAME", "builds have no history that would show it"),
    ("BUILDKIT_GIT_ADVICE", "what git advises is never shown"),
    ("BUILDKIT_INLINE_CACHE", "images carry no build cache; --cache-to writes one"),
    ("BUILDKIT_MULTI_PLATFORM", "images and outputs are those of one platform"),
];

/// The name of the machine in commands.
pub const HOSTNAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";

/// What the ids of cache mounts are kept apart by.
pub const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// Whether `.git` of a repository stays in the build context.
pub const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// The build checks' options.
pub const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// The front end, instead of the one that the Dockerfile names.
pub const SYNTAX: &str = "BUILDKIT_SYNTAX";

/// All that is acted on here. What is only said goes beside it.
pub const ACTED_ON: [&str; 5] = [HOSTNAME, CACHE_NAMESPACE, KEEP_GIT_DIR, CHECK, SYNTAX];

/// A yes or a no in Go's words (strconv.ParseBool), as everywhere in BuildKit.
pub fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What an argument that is a yes or a no says; no for one that is not given.
///
/// # Errors
/// [`Error::Argument`] for anything else.
pub fn is_on(arguments: &BTreeMap<String, String>, name: &str) -> Result<bool> {
    let Some(text) = arguments.get(name) else { return Ok(false) };
    let wrong = || Error::Argument { name: name.to_owned(), why: format!("is true or false, not {text:?}") };
    switch(text).ok_or_else(wrong)
}

/// Whether `.git` of a repository is a part of the build context that it is, by the argument of BuildKit's for it.
///
/// # Errors
/// [`Error::Argument`] when that is neither a yes nor a no.
pub fn keeps_git_dir(arguments: &BTreeMap<String, String>) -> Result<bool> {
    is_on(arguments, KEEP_GIT_DIR)
}

/// Whether an argument is the builder's own.
pub fn is_known(name: &str) -> bool {
    ACTED_ON.contains(&name) || NOT_HERE.iter().any(|(known, _)| *known == name)
}

/// What arguments ask for and nothing here does.
///
/// # Errors
/// [`Error::Argument`] for one that has no sense.
pub fn warnings(arguments: &BTreeMap<String, String>, directive: Option<&str>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (name, why) in NOT_HERE {
        let is_asked_for =
            if name == "BUILDKIT_BUILD_NAME" { arguments.contains_key(name) } else { is_on(arguments, name)? };
        if is_asked_for {
            warnings.push(format!("the build argument {name} does nothing here: {why}"));
        }
    }
    let front_end = arguments.get(SYNTAX).map(String::as_str).or(directive).filter(|name| !reads_the_same(name));
    warnings.extend(front_end.map(|name| {
        format!("the front end {name:?} is not used; the Dockerfile is read as docker/dockerfile reads it")
    }));
    Ok(warnings)
}

/// Whether a front end is docker's own, in whatever version, or the one that BuildKit has built in.
fn reads_the_same(front_end: &str) -> bool {
    let name = front_end.split_whitespace().next().unwrap_or_default();
    let is_dockers = |name: Reference| {
        ["docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"].contains(&name.repository().as_str())
    };
    name == "dockerfile.v0" || Reference::parse(name).is_ok_and(is_dockers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(arguments: &[(&str, &str)], directive: Option<&str>) -> Result<Vec<String>> {
        let given = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        warnings(&given, directive)
    }

    #[test]
    fn nothing_is_passed_over_in_silence() {
        for (name, value) in [
            ("BUILDKIT_BUILD_NAME", "mine"),
            ("BUILDKIT_GIT_ADVICE", "true"),
            ("BUILDKIT_INLINE_CACHE", "1"),
            ("BUILDKIT_MULTI_PLATFORM", "T"),
            (SYNTAX, "example.org/other:1"),
        ] {
            let said = said(&[(name, value)], None).unwrap();
            assert_eq!(said.len(), 1, "{name}");
            assert!(is_known(name) && said[0].contains(if name == SYNTAX { value } else { name }), "{said:?}");
        }
        for (name, value) in [
            ("BUILDKIT_INLINE_CACHE", "0"),
            (SYNTAX, "docker/dockerfile:1.7-labs"),
            (SYNTAX, "dockerfile.v0"),
            (HOSTNAME, "x"),
        ] {
            assert_eq!(said(&[(name, value)], Some("docker/dockerfile:1")).unwrap(), Vec::<String>::new(), "{name}");
        }
        assert_eq!(said(&[], Some("docker.io/docker/dockerfile-upstream:master@sha256:1")).unwrap().len(), 1);
        assert_eq!(said(&[], Some("other/front-end")).unwrap().len(), 1);
        assert_eq!(said(&[(SYNTAX, "docker/dockerfile")], Some("other/front-end")).unwrap(), Vec::<String>::new());
        let error = said(&[("BUILDKIT_INLINE_CACHE", "maybe")], None).unwrap_err().to_string();
        assert_eq!(error, "the build argument BUILDKIT_INLINE_CACHE is true or false, not \"maybe\"");
        assert!(!is_known("BUILDKIT_ELSE"));
    }
}
