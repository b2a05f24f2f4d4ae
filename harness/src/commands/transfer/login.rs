use std::{
    io::{self, IsTerminal, Read},
    path::Path,
};

use anyhow::Context;
use clap::Args;
use harness_transfer::{Credentials, Error, Kept, Options, known_credentials, login, registry_name};

use super::{TrustArgs, prompt};
use crate::{
    commands::print,
    failure::{Failure, Result},
    say,
};

/// A password that is longer is none.
const LONGEST: u64 = 64 << 10;

/// Log in to a registry: try a user name and a password, and keep them where docker does
///
/// They are kept with the credential helper that docker's config.json names (credHelpers, credsStore), or else in that file.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The user; asked for on the terminal otherwise
    #[arg(long, short, value_name = "NAME")]
    pub username: Option<String>,
    /// The password, which others on this machine may then see; better --password-stdin
    #[arg(long, short, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Take the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// The registry
    #[arg(value_name = "SERVER", default_value = "docker.io")]
    pub server: String,
}

pub fn run(args: &LoginArgs) -> Result {
    let host = registry_name(&args.server).map_err(Failure::usage)?;
    let options = args.trust.options();
    if args.username.is_none() && args.password.is_none() && again(&host, &options)? {
        return succeeded();
    }
    let credentials = given(args)?;
    let kept = login(&host, credentials, &options).map_err(|error| Failure::Failed(error.into()))?;
    if let Kept::File(file) = kept {
        warn_of(&file);
    }
    succeeded()
}

fn succeeded() -> Result {
    print("Login Succeeded\n")
}

fn warn_of(file: &Path) {
    say(&format!(
        "the password is kept unencrypted in {}; a credential helper, which that file names as credsStore, keeps it safer",
        file.display()
    ));
}

/// With what is known already, where that still opens the door.
fn again(host: &str, options: &Options) -> Result<bool> {
    let failed = |error: Error| Failure::Failed(error.into());
    let Some(credentials) = known_credentials(host, options).map_err(failed)? else { return Ok(false) };
    say(&format!("trying the credentials that are kept for {host}"));
    match login(host, credentials, options) {
        Ok(_) => Ok(true),
        Err(error @ Error::Login { .. }) if io::stdin().is_terminal() => {
            say(&error.to_string());
            Ok(false)
        }
        Err(error) => Err(failed(error)),
    }
}

/// What the options say, and what a terminal is asked for.
fn given(args: &LoginArgs) -> Result<Credentials> {
    let name = match &args.username {
        Some(name) => name.clone(),
        None => prompt::line("Username: ")?,
    };
    if name.is_empty() || name.contains(':') {
        // Basic authentication tells it from the password by the first colon (RFC 7617, 2).
        return Err(Failure::usage(format!("a user name is not empty and has no colon, unlike {name:?}")));
    }
    let password = match &args.password {
        Some(password) => {
            say("others on this machine may see a --password; use --password-stdin");
            password.clone()
        }
        None if args.password_stdin => from_stdin()?,
        None => prompt::secret("Password: ")?,
    };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    Ok(Credentials::Password(name, password))
}

/// All of standard input but the end of its line, as docker takes it.
fn from_stdin() -> Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text).context("cannot read the password")?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(format!(
            "what standard input gives is longer than {LONGEST} bytes, and no password"
        )));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
