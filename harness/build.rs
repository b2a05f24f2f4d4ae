//! Tells a release build which commit it is of, for the record of every run, and has the program linked for one address.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Every command is at least one start of this program, a container's start one more; each then corrected 42,000 addresses and so
    // copied 180 pages, which took longer than anything that was done with them.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    // Development builds would be linked anew with every commit.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    // A source tree without its history is built, too; the record has no commit then.
    let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) else { return };
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo::rustc-env=HARNESS_COMMIT={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
