//! What cargo built: the programs of tests, and those of people.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Builds the tests that need the lab; returns the programs. They are those of `cargo test`: to optimise them takes longer than
/// emulation loses by what they compute.
pub fn tests(package: &str, features: &[&str]) -> Result<Vec<PathBuf>> {
    let built = build(&[&["test", "--no-run", "--tests", "-p", package], features].concat())?;
    let tests: Vec<_> =
        built.into_iter().filter(|artifact| artifact.is_integration_test).map(|built| built.program).collect();
    if tests.is_empty() {
        bail!("{package} has no integration tests");
    }
    Ok(tests)
}

/// Builds a program as people run it.
pub fn release(package: &str, name: &str) -> Result<PathBuf> {
    let built = build(&["build", "--release", "-p", package])?;
    let found = built.into_iter().find(|artifact| artifact.name == name && !artifact.is_integration_test);
    Ok(found.with_context(|| format!("cargo built no {name}"))?.program)
}

/// A program that cargo built.
struct Artifact {
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
        name: target.get("name")?.as_str()?.to_owned(),
        is_integration_test: target.get("kind")?.as_array()?.iter().any(|kind| kind == "test"),
        program: message.get("executable")?.as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_understood() {
        let message = serde_json::json!({
            "reason": "compiler-artifact", "executable": "/t/it-0", "target": {"name": "it", "kind": ["test"]},
        });
        let found = artifact(&message).unwrap();
        assert!(found.is_integration_test && found.name == "it" && found.program.ends_with("it-0"));
        assert!(artifact(&serde_json::json!({"executable": null, "target": {"name": "x", "kind": ["lib"]}})).is_none());
        assert!(artifact(&serde_json::json!({"reason": "build-finished", "success": true})).is_none());
    }
}
