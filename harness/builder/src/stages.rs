//! Which stages the target needs, in the order of the file.

use crate::{CopySource, Dockerfile, Error, Instruction, Kind, Result, expand::expand};

/// What a stage starts from, or COPY takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing.
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image of this name.
    Image(String),
}

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Numbers of the stages, in order; the last is the target.
    pub stages: Vec<usize>,
    /// What each stage of the file starts from.
    pub bases: Vec<Source>,
}

/// Finds the target and what it needs.
pub fn plan(
    file: &Dockerfile,
    target: Option<&str>,
    global: &dyn Fn(&str) -> Option<String>,
    file_name: &str,
) -> Result<Plan> {
    let mut bases = Vec::new();
    for (number, stage) in file.stages.iter().enumerate() {
        let wrong = |why: String| Error::Dockerfile(stage.from.wrong(why).in_file(file_name));
        let base = expand(&stage.base, file.escape, &|name| global(name)).map_err(wrong)?;
        if base.is_empty() {
            let why = format!("{} is empty", stage.base);
            let hint = "give the ARG a default before the first FROM, or use --build-arg";
            return Err(Error::Dockerfile(stage.from.wrong_with(why, hint).in_file(file_name)));
        }
        bases.push(find(file, number, &base, false));
    }
    let last = match target {
        None => file.stages.len() - 1,
        Some(name) => by_name(file, file.stages.len(), name, true).ok_or_else(|| no_stage(file, name, file_name))?,
    };
    let mut needed = vec![false; file.stages.len()];
    let mut pending = vec![last];
    while let Some(number) = pending.pop() {
        if std::mem::replace(&mut needed[number], true) {
            continue;
        }
        if let Source::Stage(base) = bases[number] {
            pending.push(base);
        }
        pending.extend(file.stages[number].instructions.iter().filter_map(|i| copied_stage(file, number, i)));
    }
    let stages = (0..=last).filter(|number| needed[*number]).collect();
    Ok(Plan { stages, bases })
}

/// What a name in stage `number` means: an earlier stage first. Only COPY may use a stage's number.
pub fn find(file: &Dockerfile, number: usize, name: &str, numbers: bool) -> Source {
    match by_name(file, number, name, numbers) {
        Some(stage) => Source::Stage(stage),
        None if name == "scratch" => Source::Scratch,
        None => Source::Image(name.to_owned()),
    }
}

fn by_name(file: &Dockerfile, before: usize, name: &str, numbers: bool) -> Option<usize> {
    let lower = name.to_lowercase();
    let named = file.stages[..before].iter().position(|stage| stage.name.as_ref() == Some(&lower));
    named.or_else(|| name.parse().ok().filter(|number| numbers && *number < before))
}

fn copied_stage(file: &Dockerfile, number: usize, instruction: &Instruction) -> Option<usize> {
    let Kind::Copy(copy) = &instruction.kind else { return None };
    let CopySource::From(name) = &copy.source else { return None };
    by_name(file, number, name, true)
}

fn no_stage(file: &Dockerfile, name: &str, file_name: &str) -> Error {
    let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    let nearest = crate::parse::nearest(&name.to_lowercase(), &names).map(str::to_owned);
    Error::NoStage { name: name.to_owned(), file: file_name.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(text: &str, target: Option<&str>) -> Result<Plan> {
        plan(&crate::parse(text.as_bytes()).unwrap(), target, &|_| None, "Dockerfile")
    }

    #[test]
    fn only_what_is_needed_is_built() {
        let text = "FROM x AS a\nFROM y AS unused\nFROM a AS b\nCOPY --from=2 q q\nFROM scratch\nCOPY --from=b x x\nCOPY --from=img y y";
        assert_eq!(plan_of(text, None).unwrap().stages, [0, 2, 3]);
        assert_eq!(plan_of(text, Some("B")).unwrap().stages, [0, 2]);
        assert_eq!(plan_of(text, Some("1")).unwrap().stages, [1]);
        let bases = plan_of(text, None).unwrap().bases;
        assert_eq!(bases[2..], [Source::Stage(0), Source::Scratch]);
    }

    #[test]
    fn an_unknown_target_is_told_with_the_nearest() {
        let error = plan_of("FROM x AS build\n", Some("buld")).unwrap_err();
        assert!(error.to_string().contains("did you mean build?"), "{error}");
    }
}
