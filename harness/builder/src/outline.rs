//! What a Dockerfile can build and what a target can be told, without building it: the methods `targets` and `outline` of
//! BuildKit's front end (docker buildx build, "Invoke a frontend method").

use std::{cell::RefCell, collections::BTreeMap};

use crate::{
    NamedContexts, Result, Span,
    dockerfile::{Declaration, Dockerfile, Instruction, Kind, Stage},
    execute::global_args,
    expand::{Reading, Variables},
    parse_named,
    stages::plan,
};

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, or its number.
    pub name: String,
    /// The name is one that the Dockerfile gives.
    pub is_named: bool,
    /// It is built where no other is asked for.
    pub is_default: bool,
    /// What the comment above it says.
    pub description: String,
}

/// What can be said to a build of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The stage.
    pub target: Target,
    /// Build arguments that count, in the order of the file.
    pub arguments: Vec<Parameter>,
    /// Ids of secrets, and whether the build fails without.
    pub secrets: BTreeMap<String, bool>,
    /// Ids of SSH agents, and whether the build fails without.
    pub agents: BTreeMap<String, bool>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is in this build; empty where nothing gives it a value.
    pub value: String,
    /// What the comment above it says.
    pub description: String,
}

/// The stages of a Dockerfile, in order; `name` is for messages.
///
/// # Errors
/// [`Error::Dockerfile`](crate::Error::Dockerfile) with the place.
pub fn targets(name: &str, source: &[u8]) -> Result<Vec<Target>> {
    let file = parse_named(name, source)?;
    Ok((0..file.stages.len()).map(|number| target(&file, number)).collect())
}

/// What counts for a target, or for the last stage.
///
/// # Errors
/// [`Error::Dockerfile`](crate::Error::Dockerfile) with the place; [`Error::NoStage`](crate::Error::NoStage).
pub fn outline(
    name: &str,
    source: &[u8],
    wanted: Option<&str>,
    build_args: &BTreeMap<String, String>,
) -> Result<Outline> {
    let file = parse_named(name, source)?;
    let global = global_args(&file, build_args, wanted)?;
    let plan = plan(&file, wanted, &global, &NamedContexts::new(), &mut |_, _| Ok(Vec::new()))?;
    let last = plan.stages.last().copied().unwrap_or_default();
    let mut found = Found { file: &file, build_args, global: &global, parameters: Vec::new() };
    let stages = || plan.stages.iter().map(|number| &file.stages[*number]);
    found.of_bases(stages());
    stages().for_each(|stage| found.of_stage(stage));
    let needs = |kind: &str| {
        stages().flat_map(|stage| &stage.instructions).flat_map(|run| mounts(run, kind)).fold(
            BTreeMap::new(),
            |mut needs, (id, required)| {
                *needs.entry(id).or_insert(false) |= required;
                needs
            },
        )
    };
    let (secrets, agents) = (needs("secret"), needs("ssh"));
    Ok(Outline { target: target(&file, last), arguments: found.parameters, secrets, agents })
}

fn target(file: &Dockerfile, number: usize) -> Target {
    let stage = &file.stages[number];
    let name = stage.name.as_ref();
    Target {
        name: name.map_or_else(|| number.to_string(), |name| name.text.clone()),
        is_named: name.is_some(),
        is_default: number + 1 == file.stages.len(),
        description: name.map_or_else(String::new, |name| description(file, stage.span, file.source.get(name.span))),
    }
}

/// Of the comment lines right above, what follows the name in the first that begins with it.
fn description(file: &Dockerfile, below: Span, name: &str) -> String {
    let before = file.source.text().get(..below.start).unwrap_or_default();
    let mut said = String::new();
    for line in before.lines().rev() {
        let Some(comment) = line.trim().strip_prefix('#') else { break };
        if let Some(rest) = comment.trim_start().strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) {
            rest.trim().clone_into(&mut said);
        }
    }
    said
}

/// Arguments as they are found, each once.
struct Found<'a> {
    file: &'a Dockerfile,
    build_args: &'a BTreeMap<String, String>,
    global: &'a BTreeMap<String, String>,
    parameters: Vec<Parameter>,
}

impl<'a> Found<'a> {
    /// Those before the first FROM that a FROM of these stages uses.
    fn of_bases(&mut self, stages: impl Iterator<Item = &'a Stage>) {
        let asked = Asked { inner: self.global, names: RefCell::default() };
        for stage in stages {
            let flags = stage.flags.iter().filter_map(|flag| flag.value.as_ref());
            for word in flags.chain([&stage.base]) {
                let _ = Reading::new(self.file.directives.escape).word(&word.text, &asked);
            }
        }
        let names = asked.names.into_inner();
        for (instruction, declared) in declarations(&self.file.global_args) {
            if names.contains(&declared.name.text) {
                let value = self.global.get(&declared.name.text).cloned();
                self.add(instruction, declared, value);
            }
        }
    }

    fn of_stage(&mut self, stage: &'a Stage) {
        let mut scope = BTreeMap::new();
        for (instruction, declared) in declarations(&stage.instructions) {
            let name = &declared.name.text;
            let expand = |text: &str| Reading::new(self.file.directives.escape).word(text, &scope);
            let default = declared.value.as_ref().map(|word| expand(&word.text).unwrap_or_else(|_| word.text.clone()));
            let given = self.build_args.get(name).cloned();
            let value = given.or(default).or_else(|| self.global.get(name).cloned());
            scope.extend(value.clone().map(|value| (name.clone(), value)));
            // What the builder sets by itself is nobody's to give.
            let is_automatic = self.global.contains_key(name)
                && !self.build_args.contains_key(name)
                && !declarations(&self.file.global_args).any(|(_, global)| global.name.text == *name);
            if !is_automatic {
                self.add(instruction, declared, value);
            }
        }
    }

    fn add(&mut self, instruction: &Instruction, declared: &Declaration, value: Option<String>) {
        let name = &declared.name.text;
        let description = description(self.file, instruction.span, name);
        match self.parameters.iter_mut().find(|known| known.name == *name) {
            Some(known) if known.description.is_empty() => known.description = description,
            Some(_) => {}
            None => {
                let value = value.unwrap_or_default();
                self.parameters.push(Parameter { name: name.clone(), value, description });
            }
        }
    }
}

fn declarations(instructions: &[Instruction]) -> impl Iterator<Item = (&Instruction, &Declaration)> {
    instructions.iter().flat_map(|instruction| {
        let declared = if let Kind::Arg(declared) = &instruction.kind { declared.as_slice() } else { &[] };
        declared.iter().map(move |declared| (instruction, declared))
    })
}

/// Ids that mounts of a kind name, as written, and whether they are required.
fn mounts(instruction: &Instruction, kind: &str) -> Vec<(String, bool)> {
    let flags = instruction.flags.iter().filter(|flag| flag.name == "mount");
    flags
        .filter_map(|flag| {
            let words: BTreeMap<&str, &str> =
                flag.text().split(',').map(|word| word.split_once('=').unwrap_or((word, "true"))).collect();
            if words.get("type") != Some(&kind) {
                return None;
            }
            let target = ["target", "dst", "destination"].iter().find_map(|name| words.get(name));
            let of_target = || target.and_then(|target| target.rsplit('/').next());
            let id = words.get("id").copied().or_else(of_target).unwrap_or("default");
            let required = words.get("required").is_some_and(|value| crate::builtin::switch(value) == Some(true));
            Some((id.to_owned(), required))
        })
        .collect()
}

/// Variables that remember which ones were asked for.
struct Asked<'a> {
    inner: &'a BTreeMap<String, String>,
    names: RefCell<Vec<String>>,
}

impl Variables for Asked<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.names.borrow_mut().push(name.to_owned());
        self.inner.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &[u8] = b"# syntax=docker/dockerfile:1

# GO_VERSION sets the Go version
# for the build
ARG GO_VERSION=1.22
ARG UNUSED=x

# unrelated
# base is what all stand on
FROM golang:${GO_VERSION:-1} AS base

FROM base AS other
ARG OTHER

# Last is what is shipped

FROM base AS Last
ARG TARGETARCH
# FLAGS goes to the compiler
ARG FLAGS=-X$GO_VERSION MORE=$FLAGS-y
ARG UNUSED
RUN --mount=type=secret,id=token,required --mount=type=secret,target=/run/key \\
    --mount=type=ssh true
";

    #[test]
    fn stages_with_what_comments_say_of_them() {
        let found = targets("f", DOCKERFILE).unwrap();
        let shown: Vec<_> = found.iter().map(|target| (target.name.as_str(), target.description.as_str())).collect();
        assert_eq!(shown, [("base", "is what all stand on"), ("other", ""), ("last", "")]);
        assert!(found[2].is_default && !found[1].is_default);
        assert_eq!(targets("f", b"FROM a\n").unwrap()[0].name, "0");
    }

    #[test]
    fn what_counts_for_a_target() {
        let arguments = BTreeMap::from([("FLAGS".to_owned(), "given".to_owned())]);
        let found = outline("f", DOCKERFILE, None, &arguments).unwrap();
        let shown: Vec<_> = found.arguments.iter().map(|one| [&one.name, &one.value, &one.description]).collect();
        assert_eq!(
            shown,
            [
                ["GO_VERSION", "1.22", "sets the Go version"],
                ["FLAGS", "given", "goes to the compiler"],
                ["MORE", "given-y", ""],
                ["UNUSED", "x", ""],
            ]
        );
        assert_eq!(found.target.name, "last");
        assert_eq!(found.secrets, BTreeMap::from([("token".to_owned(), true), ("key".to_owned(), false)]));
        assert_eq!(found.agents, BTreeMap::from([("default".to_owned(), false)]));
        let other = outline("f", DOCKERFILE, Some("other"), &arguments).unwrap();
        assert_eq!(other.arguments.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["GO_VERSION", "OTHER"]);
        assert!(outline("f", DOCKERFILE, Some("none"), &arguments).is_err());
    }
}
