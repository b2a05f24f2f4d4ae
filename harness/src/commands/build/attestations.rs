//! `--provenance`, `--sbom` and `--attest`: nothing here makes attestations, so that only their absence can be asked for.

use harness_builder::switch;

use super::BuildArgs;
use crate::failure::{Failure, Result};

/// Refuses what asks for an attestation.
pub fn refuse(args: &BuildArgs) -> Result {
    let short = [("--provenance", &args.provenance), ("--sbom", &args.sbom)];
    let short = short.into_iter().filter_map(|(option, value)| Some((option, value.as_deref()?)));
    let long = args.attest.iter().map(|text| ("--attest", text.as_str()));
    match short.chain(long).find(|(option, value)| !is_none(option, value)) {
        None => Ok(()),
        Some((option, value)) => {
            let none =
                if option == "--attest" { "--attest type=...,disabled=true" } else { &format!("{option}=false") };
            let why = "attestations are not made here";
            Err(Failure::usage(format!("{option} {value} cannot be met: {why}; leave it out, or say {none}")))
        }
    }
}

/// `false`, or `disabled=true`.
fn is_none(option: &str, value: &str) -> bool {
    let is_disabled = |word: &str| {
        word.split_once('=').is_some_and(|(name, value)| name == "disabled" && switch(value) == Some(true))
    };
    (option != "--attest" && switch(value) == Some(false)) || value.split(',').any(is_disabled)
}
