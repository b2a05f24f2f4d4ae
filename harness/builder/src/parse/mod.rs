//! Text to instructions.

mod form;
mod lines;
mod names;

pub(crate) use self::names::nearest;
use self::{
    form::{Form, flags},
    lines::{Line, Lines},
};
use crate::{Copy, CopySource, Diagnostic, Dockerfile, Instruction, Kind, Place, Stage, instruction::CommandLine};

/// A Dockerfile larger than this is refused.
const LARGEST: usize = 4 << 20;

const SUPPORTED: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "LABEL",
    "MAINTAINER",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];
const NOT_YET: &[&str] = &["HEALTHCHECK", "ONBUILD"];

/// Reads a Dockerfile.
///
/// # Errors
/// The first thing that is wrong with it, with its place.
pub fn parse(source: &[u8]) -> Result<Dockerfile, Diagnostic> {
    let start = Place { line: 1, column: 1, width: 1, text: String::new() };
    if source.len() > LARGEST {
        return Err(start.wrong("the file is larger than 4 MiB; is this really a Dockerfile?"));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let line = 1 + source[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Place { line, ..start.clone() }.wrong("the file is not UTF-8 text")
    })?;
    let lines = Lines::new(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut file = Dockerfile { global_args: Vec::new(), stages: Vec::new(), escape: lines.escape };
    for line in lines {
        add(&mut file, &line?)?;
    }
    if file.stages.is_empty() {
        return Err(start.wrong_with("there is no FROM", "every Dockerfile starts from an image, or from scratch"));
    }
    Ok(file)
}

fn add(file: &mut Dockerfile, line: &Line) -> Result<(), Diagnostic> {
    let name = line.name();
    let upper = name.text.to_ascii_uppercase();
    if upper == "FROM" {
        let stage = from(line)?;
        if let Some(twice) =
            stage.name.as_ref().filter(|name| file.stages.iter().any(|s| s.name.as_ref() == Some(name)))
        {
            return Err(line.place(&name).wrong(format!("there is another stage named {twice}")));
        }
        file.stages.push(stage);
        return Ok(());
    }
    if NOT_YET.contains(&upper.as_str()) {
        return Err(line.place(&name).wrong(format!("{upper} is not supported yet")));
    }
    if !SUPPORTED.contains(&upper.as_str()) {
        let wrong = line.place(&name).wrong(format!("unknown instruction {}", name.text));
        let hint = nearest(&upper, SUPPORTED).map(|near| format!("did you mean {near}?"));
        return Err(Diagnostic { hint, ..wrong });
    }
    let kind = kind(&upper, line)?;
    let instruction = Instruction { place: line.place(&name), text: line.one_line(), kind };
    match (file.stages.last_mut(), &instruction.kind) {
        (Some(stage), _) => stage.instructions.push(instruction),
        (None, Kind::Arg(_)) => file.global_args.push(instruction),
        (None, _) => {
            let hint = "start with FROM IMAGE; only ARG may come before it";
            return Err(instruction.place.wrong_with(format!("{upper} before the first FROM"), hint));
        }
    }
    Ok(())
}

fn from(line: &Line) -> Result<Stage, Diagnostic> {
    let (_, rest) = flags(line, &[], &["platform"])?;
    let words = line.words(&rest);
    let place = |index: usize| words.get(index).map_or_else(|| line.place(&line.name()), |word| line.place(word));
    let name = match words.as_slice() {
        [_] => None,
        [_, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => Some(name.text.to_lowercase()),
        [] => return Err(place(0).wrong_with("FROM needs an image", "FROM IMAGE [AS NAME]")),
        _ => return Err(place(1).wrong_with("FROM takes an image and a name", "FROM IMAGE [AS NAME]")),
    };
    let valid = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.'))
    };
    if name.as_ref().is_some_and(|name| !valid(name)) {
        return Err(place(2).wrong("a stage's name starts with a letter and has letters, digits, '_', '-' and '.'"));
    }
    Ok(Stage { base: words[0].text.clone(), name, from: place(0), instructions: Vec::new() })
}

fn kind(name: &str, line: &Line) -> Result<Kind, Diagnostic> {
    let need = |what: &str| line.place(&line.name()).wrong(format!("{name} needs {what}"));
    let rest = line.rest();
    if rest.text.trim().is_empty() {
        return Err(need("an argument"));
    }
    if let "COPY" | "ADD" = name {
        return copy(name, line);
    }
    if name == "RUN" {
        let (_, rest) = flags(line, &[], &["mount", "network", "security", "device"])?;
        if rest.text.trim().is_empty() {
            return Err(need("a command"));
        }
        return Ok(Kind::Run(command(line, &rest.text)));
    }
    if let Some(word) = line.words(&rest).first().filter(|word| word.text.starts_with("--") && name != "CMD") {
        return Err(line.place(word).wrong(format!("{name} has no flag {}", word.text)));
    }
    let all = rest.text.trim().to_owned();
    Ok(match name {
        "CMD" => Kind::Cmd(command(line, &all)),
        "ENTRYPOINT" => Kind::Entrypoint(command(line, &all)),
        "ENV" => Kind::Env(form::pairs(line, &rest)?),
        "LABEL" => Kind::Label(form::pairs(line, &rest)?),
        "ARG" => Kind::Arg(form::arguments(line, &rest)?),
        "WORKDIR" => Kind::Workdir(all),
        "USER" => Kind::User(all),
        "STOPSIGNAL" => Kind::StopSignal(all),
        "MAINTAINER" => Kind::Maintainer(all),
        "EXPOSE" => Kind::Expose(line.words(&rest).into_iter().map(|word| word.text).collect()),
        "VOLUME" => Kind::Volume(match Form::read(&all) {
            Form::List(list) => list,
            Form::Text => line.words(&rest).into_iter().map(|word| word.text).collect(),
        }),
        "SHELL" => match Form::read(&all) {
            Form::List(list) if !list.is_empty() => Kind::Shell(list),
            _ => return Err(line.place(&rest).wrong_with("SHELL takes a list", "SHELL [\"/bin/sh\", \"-c\"]")),
        },
        // `add` lets only the names above come here.
        _ => return Err(line.place(&line.name()).wrong(format!("unknown instruction {name}"))),
    })
}

/// A list that is no valid JSON is a shell line, as in docker.
fn command(line: &Line, text: &str) -> CommandLine {
    match Form::read(text.trim()) {
        Form::List(list) => CommandLine::Exec(list),
        Form::Text => CommandLine::Shell(line.with_heredocs(text.trim())),
    }
}

fn copy(name: &str, line: &Line) -> Result<Kind, Diagnostic> {
    let known = ["chown", "chmod", "from"];
    let not_yet = ["link", "parents", "exclude", "keep-git-dir", "checksum"];
    let (given, rest) = flags(line, if name == "ADD" { &known[..2] } else { &known }, &not_yet)?;
    if let Some(heredoc) = line.heredocs().first() {
        return Err(line.place(&rest).wrong(format!("{name} of a here-document (<<{heredoc}) is not supported yet")));
    }
    let mut words = match Form::read(rest.text.trim()) {
        Form::List(list) => list,
        Form::Text => line.words(&rest).into_iter().map(|word| word.text).collect(),
    };
    let target = words.pop().filter(|_| !words.is_empty());
    let Some(target) = target else {
        let hint = format!("{name} SOURCE... TARGET");
        return Err(line.place(&rest).wrong_with(format!("{name} needs a source and a target"), hint));
    };
    for word in line.words(&rest) {
        let remote =
            ["http://", "https://", "git@", "git://", "ssh://"].iter().any(|scheme| word.text.starts_with(scheme));
        if name == "ADD" && remote && word.text != target {
            return Err(line.place(&word).wrong("ADD of URLs and git repositories is not supported yet"));
        }
    }
    let flag = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    Ok(Kind::Copy(Copy {
        source: flag("from").map_or(CopySource::Context, CopySource::From),
        sources: words,
        target,
        owner: flag("chown"),
        mode: flag("chmod"),
        unpack: name == "ADD",
    }))
}

#[cfg(test)]
mod tests;
