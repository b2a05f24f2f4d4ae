//! Which stages the target needs, in the order of the file.

use std::path::PathBuf;

use crate::{
    Error, NamedContext, NamedContexts, Result, contexts,
    dockerfile::{Dockerfile, Instruction, Kind, Stage},
    expand::{Reading, Variables},
    near,
};

/// What a stage starts from, or COPY takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image of this name.
    Image(String),
    /// The files of a directory.
    Directory(PathBuf),
}

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Numbers of the stages, in order; the last is the target.
    pub stages: Vec<usize>,
    /// What each stage of the file starts from.
    pub bases: Vec<Origin>,
    /// The earlier stages that each stage of the file starts from or takes files of.
    pub needs: Vec<Vec<usize>>,
}

/// The stages and images that an image's triggers take files of; the stage that starts from it, and its name.
pub type OfTriggers<'a> = &'a mut dyn FnMut(&Stage, &str) -> Result<Vec<String>>;

/// Finds the target and what it needs. `triggers` is asked once for each base of a stage that is needed.
pub fn plan(
    file: &Dockerfile,
    target: Option<&str>,
    global: &dyn Variables,
    contexts: &NamedContexts,
    triggers: OfTriggers<'_>,
) -> Result<Plan> {
    let mut bases = Vec::new();
    for (number, stage) in file.stages.iter().enumerate() {
        bases.push(find(file, contexts, number, &base(file, stage, global)?, false));
    }
    let last = match target {
        None => file.stages.len() - 1,
        Some(name) => by_name(file, file.stages.len(), name, true).ok_or_else(|| no_stage(file, name))?,
    };
    let mut needs = vec![Vec::new(); file.stages.len()];
    let mut needed = vec![false; file.stages.len()];
    let mut pending = vec![last];
    while let Some(number) = pending.pop() {
        if std::mem::replace(&mut needed[number], true) {
            continue;
        }
        let triggers = match &bases[number] {
            Origin::Scratch => Vec::new(),
            Origin::Stage(base) => file.stages[*base].instructions.iter().flat_map(names_of_triggers).collect(),
            Origin::Image(name) => triggers(&file.stages[number], name)?,
            Origin::Directory(_) => {
                let why = "this name is given to a directory, and FROM starts from an image";
                return Err(file.source.refuse(file.stages[number].base.span, why));
            }
        };
        needs[number] = needs_of(file, contexts, number, &bases[number], triggers);
        pending.extend(&needs[number]);
    }
    let stages = (0..=last).filter(|number| needed[*number]).collect();
    Ok(Plan { stages, bases, needs })
}

fn needs_of(
    file: &Dockerfile,
    contexts: &NamedContexts,
    number: usize,
    base: &Origin,
    triggers: Vec<String>,
) -> Vec<usize> {
    let base = if let Origin::Stage(base) = base { Some(*base) } else { None };
    let sources = file.stages[number].instructions.iter().flat_map(names_of_sources).chain(triggers);
    let stage = |name: String| match find(file, contexts, number, &name, true) {
        Origin::Stage(stage) => Some(stage),
        _ => None,
    };
    let mut all: Vec<usize> = sources.filter_map(stage).chain(base).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What a stage starts from, expanded.
fn base(file: &Dockerfile, stage: &Stage, global: &dyn Variables) -> Result<String> {
    let base = Reading::new(file.directives.escape)
        .word(&stage.base.text, global)
        .map_err(|why| file.source.refuse(why.place(&stage.base), why.message.clone()))?;
    if !base.is_empty() {
        return Ok(base);
    }
    let hint = "give the ARG a default before the first FROM, or use --build-arg";
    Err(file.source.error(stage.base.span, format!("{} is empty", stage.base.text)).hint(hint).into())
}

/// What a name in stage `number` means: what the build's caller says, else an earlier stage. Only FROM may not use a stage's
/// number.
pub fn find(file: &Dockerfile, contexts: &NamedContexts, number: usize, name: &str, numbers: bool) -> Origin {
    match contexts::find(contexts, name) {
        Some(NamedContext::Directory(path)) => return Origin::Directory(path.clone()),
        Some(NamedContext::Image(image)) => return Origin::Image(image.clone()),
        None => {}
    }
    match by_name(file, number, name, numbers) {
        Some(stage) => Origin::Stage(stage),
        None if name == "scratch" => Origin::Scratch,
        None => Origin::Image(name.to_owned()),
    }
}

pub fn by_name(file: &Dockerfile, before: usize, name: &str, numbers: bool) -> Option<usize> {
    let lower = name.to_lowercase();
    let is_called = |stage: &Stage| stage.name.as_ref().is_some_and(|name| name.text == lower);
    // Of several, the last one (BuildKit warns of them: DuplicateStageName).
    let named = file.stages[..before].iter().rposition(is_called);
    named.or_else(|| name.parse().ok().filter(|number| numbers && *number < before))
}

/// The same of what an ONBUILD makes others do.
fn names_of_triggers(instruction: &Instruction) -> Vec<String> {
    match &instruction.kind {
        Kind::Onbuild(trigger) => names_of_sources(trigger),
        _ => Vec::new(),
    }
}

/// Stages or images whose files an instruction takes.
pub fn names_of_sources(instruction: &Instruction) -> Vec<String> {
    match &instruction.kind {
        Kind::Copy(_) => instruction.flag("from").map(|flag| flag.text().to_owned()).into_iter().collect(),
        Kind::Run(_) => {
            let mounts = instruction.flags.iter().filter(|flag| flag.name == "mount");
            mounts
                .flat_map(|flag| flag.text().split(','))
                .filter_map(|part| part.strip_prefix("from=").map(str::to_owned))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn no_stage(file: &Dockerfile, name: &str) -> Error {
    let names = file.stages.iter().filter_map(|stage| Some(stage.name.as_ref()?.text.as_str()));
    let nearest = near::nearest(&name.to_lowercase(), names).map(str::to_owned);
    Error::NoStage { name: name.to_owned(), file: file.source.name().to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::Nothing;

    fn plan_of(text: &str, target: Option<&str>) -> Result<Plan> {
        let triggers =
            &mut |_: &Stage, name: &str| Ok(if name == "with-triggers" { vec!["a".to_owned()] } else { vec![] });
        plan(&crate::parse(text.as_bytes()).unwrap(), target, &Nothing, &NamedContexts::new(), triggers)
    }

    #[test]
    fn a_named_context_takes_the_place_of_a_stage_and_of_an_image() {
        let text = "FROM x AS base\nFROM y AS other\nFROM base\nCOPY --from=other . .\nCOPY --from=1 . .\n";
        let of = |given: &[(&str, NamedContext)]| {
            let contexts = given.iter().map(|(name, context)| ((*name).to_owned(), context.clone())).collect();
            plan(&crate::parse(text.as_bytes()).unwrap(), None, &Nothing, &contexts, &mut |_, _| Ok(vec![]))
        };
        let image = NamedContext::Image("i".to_owned());
        assert_eq!(of(&[("base", image.clone())]).unwrap().stages, [1, 2]);
        assert_eq!(of(&[("x", image.clone())]).unwrap().bases[0], Origin::Image("i".to_owned()));
        let directory = NamedContext::Directory("/d".into());
        // A number still means the stage.
        assert_eq!(of(&[("other", directory.clone())]).unwrap().stages, [0, 1, 2]);
        let refused = of(&[("base", directory)]).unwrap_err().to_string();
        assert!(refused.starts_with("Dockerfile:3:6: this name is given to a directory"), "{refused}");
    }

    #[test]
    fn only_what_is_needed_is_built() {
        let text = "FROM x AS a\nFROM y AS unused\nFROM a AS b\nCOPY --from=2 q q\nFROM scratch\nCOPY --from=b x x\nCOPY --from=img y y";
        assert_eq!(plan_of(text, None).unwrap().stages, [0, 2, 3]);
        assert_eq!(plan_of(text, Some("B")).unwrap().stages, [0, 2]);
        assert_eq!(plan_of(text, Some("1")).unwrap().stages, [1]);
        let bases = plan_of(text, None).unwrap().bases;
        assert_eq!(bases[2..], [Origin::Stage(0), Origin::Scratch]);
    }

    #[test]
    fn a_mount_needs_its_stage() {
        let text = "FROM x AS tools\nFROM y AS unused\nFROM z\nRUN --mount=type=bind,from=tools,target=/t true";
        assert_eq!(plan_of(text, None).unwrap().stages, [0, 2]);
    }

    #[test]
    fn triggers_need_stages_of_who_starts_from_them() {
        let text = "FROM x AS a\nFROM y AS b\nFROM with-triggers\n";
        assert_eq!(plan_of(text, None).unwrap().needs[2], [0]);
        let text = "FROM x AS a\nFROM y AS base\nONBUILD COPY --from=a x x\nFROM base AS last\n";
        assert_eq!(plan_of(text, Some("base")).unwrap().stages, [1]);
        assert_eq!(plan_of(text, None).unwrap().stages, [0, 1, 2]);
    }

    #[test]
    fn an_unknown_target_is_told_with_the_nearest() {
        let error = plan_of("FROM x AS build\n", Some("buld")).unwrap_err();
        assert!(error.to_string().contains("did you mean build?"), "{error}");
    }

    #[test]
    fn an_empty_base_is_pointed_at() {
        let error = plan_of("ARG V\nFROM $V\n", None).unwrap_err();
        assert!(error.to_string().starts_with("Dockerfile:2:6: $V is empty"), "{error}");
    }
}
