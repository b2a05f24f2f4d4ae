//! What cargo built: the programs of tests, and those of people.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Integration tests, by the package they are of.
#[derive(Debug)]
pub struct Tests(Vec<Artifact>);

impl Tests {
    /// Builds those of all packages, which `cargo test` has done but for the ones that only the lab can run: of one package alone,
    /// its dependencies would be compiled once more, with that package's features. To optimise them takes longer than emulation
    /// loses by what they compute.
    pub fn build() -> Result<Self> {
        let names = ["it", "suite", "lab"].map(|name| ["--test", name]);
        let built = build(&[&["test", "--no-run", "--workspace"], names.as_flattened()].concat())?;
        Ok(Self(built.into_iter().filter(|artifact| artifact.is_integration_test).collect()))
    }

    /// The program of a package.
    pub fn of(&self, package: &str) -> Result<&Path> {
        let found = self.0.iter().find(|test| test.package == package);
        Ok(&found.with_context(|| format!("{package} has no integration tests"))?.program)
    }
}

/// Builds a program as people run it.
pub fn release(package: &str, name: &str) -> Result<PathBuf> {
    let built = build(&["build", "--release", "-p", package])?;
    let found = built.into_iter().find(|artifact| artifact.name == name && !artifact.is_integration_test);
    Ok(found.with_context(|| format!("cargo built no {name}"))?.program)
}

/// A program that cargo built.
#[derive(Debug)]
struct Artifact {
    package: String,
    name: String,
    is_integration_test: bool,
    program: PathBuf,
}

fn build(args: &[&str]) -> Result<Vec<Artifact>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), output.status);
    }
    // One JSON object a line: https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let messages = lines.map(serde_json::from_slice).collect::<Result<Vec<serde_json::Value>, _>>();
    Ok(messages.context("cargo said something that is no JSON")?.iter().filter_map(artifact).collect())
}

fn artifact(message: &serde_json::Value) -> Option<Artifact> {
    let target = message.get("target")?;
    Some(Artifact {
        package: package(message.get("package_id")?.as_str()?)?.to_owned(),
        name: target.get("name")?.as_str()?.to_owned(),
        is_integration_test: target.get("kind")?.as_array()?.iter().any(|kind| kind == "test"),
        program: message.get("executable")?.as_str()?.into(),
    })
}

/// The name in `path+file:///dir#name@version`, or in `path+file:///name#version` where the directory is called so
/// (<https://doc.rust-lang.org/cargo/reference/pkgid-spec.html>).
fn package(id: &str) -> Option<&str> {
    let (url, fragment) = id.rsplit_once('#')?;
    fragment.split_once('@').map(|(name, _)| name).or_else(|| url.rsplit('/').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_understood() {
        let message = serde_json::json!({
            "reason": "compiler-artifact", "package_id": "path+file:///d/lab#a@0.1.0", "executable": "/t/it-0",
            "target": {"name": "it", "kind": ["test"]},
        });
        let found = artifact(&message).unwrap();
        assert!(found.is_integration_test && found.name == "it" && found.program.ends_with("it-0"));
        assert_eq!(found.package, "a");
        assert_eq!(package("path+file:///d/harness#0.1.0"), Some("harness"));
        assert!(artifact(&serde_json::json!({"executable": null, "target": {"name": "x", "kind": ["lib"]}})).is_none());
        assert!(artifact(&serde_json::json!({"reason": "build-finished", "success": true})).is_none());
    }
}
