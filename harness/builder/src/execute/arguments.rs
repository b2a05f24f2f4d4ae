//! Build arguments before any stage has declared them.

use std::collections::BTreeMap;

use super::{Build, PREDEFINED, epoch, platform, step::Step};
use crate::{
    Observer, Result, builtin,
    dockerfile::{Dockerfile, Kind},
};

/// ARGs before the first FROM, for FROM lines and for stages that declare them again.
pub fn global_args(
    file: &Dockerfile,
    given: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Result<BTreeMap<String, String>> {
    let mut known = automatic(target);
    for (name, value) in &mut known {
        // As with BuildKit: who builds may say otherwise, also where no ARG does.
        if let Some(given) = given.get(name) {
            value.clone_from(given);
        }
    }
    for instruction in &file.global_args {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        let step = Step { source: &file.source, escape: file.directives.escape, instruction };
        for argument in arguments {
            let name = &argument.name.text;
            let value = match (given.get(name), &argument.value) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(step.expand(default, &known)?),
                (None, None) => None,
            };
            known.extend(value.map(|value| (name.clone(), value)));
        }
    }
    Ok(known)
}

/// What BuildKit sets by itself (Dockerfile reference, "Automatic platform ARGs in the global scope"), and the stage that
/// is built, which is `default` where none was asked for.
fn automatic(target: Option<&str>) -> BTreeMap<String, String> {
    let platform = platform::ours();
    let (os, arch) = platform.split_once('/').unwrap_or(("linux", ""));
    let mut args = BTreeMap::from([("TARGETSTAGE".to_owned(), target.unwrap_or("default").to_owned())]);
    for side in ["TARGET", "BUILD"] {
        args.insert(format!("{side}PLATFORM"), platform.clone());
        args.insert(format!("{side}OS"), os.to_owned());
        args.insert(format!("{side}ARCH"), arch.to_owned());
        args.insert(format!("{side}VARIANT"), String::new());
    }
    args
}

/// Tells of arguments that have no effect: that no ARG takes, which is a mistake, most likely in the name, or that ask
/// the builder for what it has not.
pub fn warn(build: &Build<'_>, observer: &mut dyn Observer) -> Result<()> {
    let arguments = &build.request.build_args;
    let directive = build.file.directives.syntax.as_ref().map(|syntax| syntax.text.as_str());
    builtin::warnings(arguments, directive)?.iter().for_each(|warning| observer.warning(warning));
    let instructions = build.file.stages.iter().flat_map(|stage| &stage.instructions).chain(&build.file.global_args);
    let mut declared: Vec<&str> = PREDEFINED.to_vec();
    declared.push(epoch::NAME);
    declared.extend(build.global.keys().map(String::as_str));
    for instruction in instructions {
        if let Kind::Arg(arguments) = &instruction.kind {
            declared.extend(arguments.iter().map(|argument| argument.name.text.as_str()));
        }
    }
    let is_taken = |name: &&String| builtin::is_known(name) || declared.contains(&name.as_str());
    for name in arguments.keys().filter(|name| !is_taken(name)) {
        observer.warning(&format!("no ARG takes the build argument {name}"));
    }
    Ok(())
}
