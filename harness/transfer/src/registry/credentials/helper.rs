//! Programs that keep credentials: `docker-credential-NAME get|store|erase` (docker/docker-credential-helpers).

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::json;

use super::Credentials;

/// As whom an identity token is kept.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What a helper knows of a registry.
pub fn get(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let Some(said) = ask(helper, "get", server)? else { return Ok(None) };
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|error| format!("what docker-credential-{helper} answered is malformed: {error}"))?;
    Ok(Some(match answer.username.as_str() {
        TOKEN => Credentials::Identity(answer.secret),
        _ => Credentials::Password(answer.username, answer.secret),
    }))
}

/// Gives a helper credentials to keep.
pub fn store(helper: &str, server: &str, credentials: &Credentials) -> Result<(), String> {
    let (name, secret) = match credentials {
        Credentials::Password(name, password) => (name.as_str(), password),
        Credentials::Identity(token) => (TOKEN, token),
    };
    let given = json!({"ServerURL": server, "Username": name, "Secret": secret});
    ask(helper, "store", &given.to_string())?
        .map(drop)
        .ok_or_else(|| format!("docker-credential-{helper} kept nothing"))
}

/// Has a helper forget a registry; whether it knew of it.
pub fn erase(helper: &str, server: &str) -> Result<bool, String> {
    Ok(ask(helper, "erase", server)?.is_some())
}

/// `None` when it does not know.
fn ask(helper: &str, what: &str, input: &str) -> Result<Option<Vec<u8>>, String> {
    if helper.contains('/') || helper.starts_with('-') {
        return Err(format!("{helper:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |error: std::io::Error| format!("{program} cannot be run: {error}");
    let mut child = Command::new(&program)
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says so with its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("credentials not found") {
        return Ok(None);
    }
    Err(format!("{program} {what} failed: {}", said.trim()))
}
