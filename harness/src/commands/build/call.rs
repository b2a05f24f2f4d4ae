//! `--call` and `--check`: what is asked of a Dockerfile instead of a build.

use std::{collections::BTreeMap, fmt::Write};

use clap::ValueEnum;
use harness_builder::{BuildRequest, Builder, Outline, Target};

use super::failed;
use crate::{
    commands::print,
    engine::{Session, bases},
    failure::{Failure, Result},
    table::columns,
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// An image
    Build,
    /// Likely mistakes, by BuildKit's build checks
    Check,
    /// What build arguments, secrets and agents count for the target
    Outline,
    /// The stages
    Targets,
}

/// The text of the Dockerfile, where it can be read more than once; what is wrong with it is the builder's to say.
fn text(request: &BuildRequest) -> Option<Vec<u8>> {
    match (&request.dockerfile_text, &request.dockerfile) {
        (Some(text), _) => Some(text.clone()),
        // A pipe of the shell's can be read once.
        (None, Some(path)) if path.is_file() => std::fs::read(path).ok(),
        (None, _) => None,
    }
}

/// Prints what the build checks find.
pub fn check(session: &Session, builder: &Builder<'_>, request: &BuildRequest) -> Result {
    if let Some(text) = text(request) {
        bases::ensure_built_in(&session.store, &text, request)?;
    }
    let found = builder.check(request).map_err(failed)?;
    for warning in &found {
        print(&format!("{warning}\n"))?;
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("build checks found {}", found.len())))
}

/// Prints what a Dockerfile is about; nothing but its text is looked at.
pub fn describe(call: Call, request: &BuildRequest) -> Result {
    let path = request.dockerfile.clone().unwrap_or_default();
    let text = match &request.dockerfile_text {
        Some(text) => text.clone(),
        None => std::fs::read(&path).map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    print(&match call {
        Call::Targets => targets(&harness_builder::targets(&name, &text).map_err(failed)?),
        _ => outline(
            &harness_builder::outline(&name, &text, request.target.as_deref(), &request.build_args).map_err(failed)?,
        ),
    })
}

fn targets(targets: &[Target]) -> String {
    let row = |target: &Target| {
        let default = if target.is_default { " (default)" } else { "" };
        vec![format!("{}{default}", target.name), target.description.clone()]
    };
    columns(&["TARGET", "DESCRIPTION"], &targets.iter().map(row).collect::<Vec<_>>())
}

fn outline(outline: &Outline) -> String {
    let target = &outline.target;
    let mut shown = format!("TARGET:        {}\n", if target.is_named { &target.name } else { "(default)" });
    if !target.description.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "DESCRIPTION:   {}", target.description);
    }
    let arguments = outline.arguments.iter().map(|of| vec![of.name.clone(), of.value.clone(), of.description.clone()]);
    let needs = |needs: &BTreeMap<String, bool>| {
        needs.iter().map(|(id, is)| vec![id.clone(), if *is { "true".to_owned() } else { String::new() }]).collect()
    };
    let tables: [(&[&str], Vec<Vec<String>>); 3] = [
        (&["BUILD ARG", "VALUE", "DESCRIPTION"], arguments.collect()),
        (&["SECRET", "REQUIRED"], needs(&outline.secrets)),
        (&["SSH", "REQUIRED"], needs(&outline.agents)),
    ];
    for (header, rows) in tables.iter().filter(|(_, rows)| !rows.is_empty()) {
        shown.push('\n');
        shown.push_str(&columns(header, rows));
    }
    shown
}
