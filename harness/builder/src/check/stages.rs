//! Checks that need to know what words mean: each stage is gone through as a build would, without running anything.

use std::{collections::BTreeMap, path::Path};

use super::{Findings, Known, Rule, expansions::Watched};
use crate::{
    context::clean,
    dockerfile::{CommandForm, CommandLine, Dockerfile, Instruction, Kind, Stage, Transfer, Word},
    execute::{PREDEFINED, State, Step, global_args, platform},
    expand::Reading,
    near,
    stages::by_name,
};

pub struct Stages<'a> {
    file: &'a Dockerfile,
    known: &'a Known<'a>,
    findings: &'a Findings<'a>,
    /// What FROM sees.
    global: BTreeMap<String, String>,
    /// The same without `--build-arg`.
    defaults: BTreeMap<String, String>,
    /// The end of every stage so far.
    done: Vec<Run>,
}

/// A stage as it is gone through.
#[derive(Clone)]
struct Run {
    state: State,
    /// What the base sets is known.
    is_complete: bool,
    /// WORKDIR was given in this file.
    has_workdir: bool,
    /// SHELL was given in this file.
    has_shell: bool,
}

impl<'a> Stages<'a> {
    pub fn new(file: &'a Dockerfile, known: &'a Known<'a>, findings: &'a Findings<'a>) -> Self {
        let target = known.request.target.as_deref();
        // What cannot be expanded is the build's to say.
        let global = global_args(file, &known.request.build_args, target).unwrap_or_default();
        let defaults = global_args(file, &BTreeMap::new(), target).unwrap_or_default();
        Self { file, known, findings, global, defaults, done: Vec::new() }
    }

    pub fn check(mut self) {
        for (number, stage) in self.file.stages.iter().enumerate() {
            self.platform(stage);
            self.base(stage);
            let mut run = self.start(number, stage);
            for instruction in &stage.instructions {
                self.instruction(&mut run, instruction);
            }
            self.done.push(run);
        }
    }

    fn reading(&self) -> Reading {
        Reading::new(self.file.directives.escape)
    }

    fn base(&self, stage: &Stage) {
        let watched = Watched::new(&self.global);
        let _ = self.reading().word(&stage.base.text, &watched);
        self.undefined_in_from(&stage.base, watched.missed());
        if !stage.base.text.contains('$') {
            return;
        }
        let by_default = self.reading().word(&stage.base.text, &self.defaults).unwrap_or_default();
        let is_name = by_default == "scratch" || harness_image::Reference::parse(&by_default).is_ok();
        if !is_name {
            let why = format!("without build arguments {} is {by_default:?}, which names no image", stage.base.text);
            self.findings.add(Rule::InvalidDefaultArgInFrom, stage.base.span, why);
        }
    }

    fn platform(&self, stage: &Stage) {
        let flag = stage.flags.iter().find(|flag| flag.name == "platform");
        let Some(word) = flag.and_then(|flag| flag.value.as_ref()) else { return };
        let watched = Watched::new(&self.global);
        let _ = self.reading().word(&word.text, &watched);
        self.undefined_in_from(word, watched.missed());
        if matches!(word.text.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
            let why = format!("{} is what FROM builds for anyway", word.text);
            self.findings.add(Rule::RedundantTargetPlatform, word.span, why);
        }
        let name = stage.name.as_ref().map_or("", |name| &name.text);
        let is_in_name = word.text.split('/').any(|part| !part.is_empty() && name.contains(part));
        if !word.text.contains('$') && !is_in_name {
            let why = format!(
                "--platform={} ties the stage to one platform; use $BUILDPLATFORM or a build argument",
                word.text
            );
            self.findings.add(Rule::FromPlatformFlagConstDisallowed, word.span, why);
        }
    }

    fn platform_of_image(&self, stage: &Stage, base: &str, state: &State) {
        if let Some(other) = state.platform.as_ref().filter(|platform| !platform::is_ours(platform)) {
            let why = format!("{base} is for {other}, and this machine builds for {}", platform::ours());
            self.findings.add(Rule::InvalidBaseImagePlatform, stage.base.span, why);
        }
    }

    fn undefined_in_from(&self, word: &Word, missed: Vec<String>) {
        let arguments = self.file.global_args.iter().filter_map(|instruction| match &instruction.kind {
            Kind::Arg(declared) => Some(declared.iter().map(|argument| argument.name.text.as_str())),
            _ => None,
        });
        let declared: Vec<&str> = arguments.flatten().chain(self.global.keys().map(String::as_str)).collect();
        for name in missed.iter().filter(|name| !declared.contains(&name.as_str())) {
            let near = near::nearest(name, declared.iter().copied());
            let why = format!("no ARG before the first FROM declares {name}");
            self.findings.add_with_hint(Rule::UndefinedArgInFrom, word.span, why, near);
        }
    }

    fn start(&self, number: usize, stage: &Stage) -> Run {
        let base = self.reading().word(&stage.base.text, &self.global).unwrap_or_default();
        let scratch = Run { state: State::scratch(), is_complete: true, has_workdir: false, has_shell: false };
        let mut run = match by_name(self.file, number, &base, false).and_then(|base| self.done.get(base)) {
            Some(base) => Run { state: State::after(&base.state), ..base.clone() },
            None if base == "scratch" => scratch,
            None => match (self.known.image)(&base) {
                Some(state) => {
                    self.platform_of_image(stage, &base, &state);
                    Run { has_shell: state.docker.shell.is_some(), state, ..scratch }
                }
                None => Run { is_complete: false, ..scratch },
            },
        };
        for name in PREDEFINED {
            // Known even where nobody gives them a value.
            run.state.undeclared.entry((*name).to_owned()).or_default();
        }
        run
    }

    fn instruction(&self, run: &mut Run, instruction: &Instruction) {
        let step = Step { source: &self.file.source, escape: self.file.directives.escape, instruction };
        for word in words(instruction) {
            self.variables(run, word);
        }
        match &instruction.kind {
            Kind::Arg(declared) => {
                for argument in declared {
                    let name = &argument.name.text;
                    let given = self.known.request.build_args.get(name).cloned();
                    let default = argument.value.as_ref().and_then(|word| step.expand(word, &run.state).ok());
                    let value = given.or(default).or_else(|| self.global.get(name).cloned());
                    run.state.args.insert(name.clone(), value.unwrap_or_default());
                }
            }
            Kind::Cmd(command) => self.command(run, "CMD", command),
            Kind::Entrypoint(command) => self.command(run, "ENTRYPOINT", command),
            Kind::Copy(transfer) if instruction.flag("from").is_none() => self.ignored(run, "COPY", transfer),
            Kind::Add(transfer) => self.ignored(run, "ADD", transfer),
            Kind::Workdir(dir) => {
                let path = step.expand(dir, &run.state).unwrap_or_default();
                if !run.has_workdir && !path.starts_with('/') {
                    let why = format!("where {path:?} lies depends on the base image; give an absolute path");
                    self.findings.add(Rule::WorkdirRelativePath, dir.span, why);
                }
                run.has_workdir = true;
            }
            Kind::Shell(_) => run.has_shell = true,
            _ => {}
        }
        if !matches!(instruction.kind, Kind::Arg(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_)) {
            let _ = run.state.configure(step);
        }
    }

    fn variables(&self, run: &Run, word: &Word) {
        if !run.is_complete {
            return;
        }
        let watched = Watched::new(&run.state);
        let _ = self.reading().word(&word.text, &watched);
        for name in watched.missed() {
            let known = run.state.names();
            let near = near::nearest(&name, known.iter().map(String::as_str));
            let why = format!("the variable {name} is not set here");
            self.findings.add_with_hint(Rule::UndefinedVar, place_of(word, &name), why, near);
        }
    }

    fn command(&self, run: &Run, keyword: &str, command: &CommandLine) {
        if matches!(command.form, CommandForm::Shell(_)) && !run.has_shell {
            let why =
                format!("signals do not reach the command of a {keyword} that a shell runs; write it as a JSON array");
            self.findings.add(Rule::JSONArgsRecommended, command.span, why);
        }
    }

    fn ignored(&self, run: &Run, keyword: &str, transfer: &Transfer) {
        for source in transfer.sources.iter().filter(|source| source.heredoc.is_none()) {
            let Ok(path) = self.reading().word(&source.word.text, &run.state) else { continue };
            if path.contains("://") {
                continue;
            }
            let path = clean(Path::new(&path));
            if !path.as_os_str().is_empty() && self.known.ignore.excludes(&path) {
                let why = format!("{keyword} of {}, which .dockerignore excludes", path.display());
                self.findings.add(Rule::CopyIgnoredFile, source.word.span, why);
            }
        }
    }
}

/// Where a word names a variable.
fn place_of(word: &Word, name: &str) -> crate::Span {
    let found = [format!("${name}"), format!("${{{name}")]
        .iter()
        .filter_map(|text| Some((word.text.find(text)?, text.len())))
        .min();
    match found {
        Some((at, length)) => word.span.part(at..at + length),
        None => word.span,
    }
}

/// The words of an instruction that variables are expanded in.
fn words(instruction: &Instruction) -> Vec<&Word> {
    let mut words: Vec<&Word> = match &instruction.kind {
        Kind::Copy(transfer) | Kind::Add(transfer) => {
            let sources = transfer.sources.iter().filter(|source| source.heredoc.is_none()).map(|source| &source.word);
            sources.chain([&transfer.destination]).collect()
        }
        Kind::Arg(declared) => declared.iter().filter_map(|argument| argument.value.as_ref()).collect(),
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).collect(),
        Kind::Expose(several) | Kind::Volume(several) => several.iter().collect(),
        Kind::Stopsignal(word) | Kind::User(word) | Kind::Workdir(word) => vec![word],
        _ => Vec::new(),
    };
    // Triggers are expanded where they run.
    if !matches!(instruction.kind, Kind::Onbuild(_)) {
        words.extend(instruction.flags.iter().filter_map(|flag| flag.value.as_ref()));
    }
    words
}

impl State {
    /// The names of all variables that are set.
    fn names(&self) -> Vec<String> {
        let env = self.env.iter().filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        env.chain(self.args.keys().cloned()).collect()
    }
}
