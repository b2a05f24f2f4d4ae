//! One stage, instruction by instruction.

use std::{path::Path, sync::atomic::Ordering};

use super::{
    Build,
    config::{PREDEFINED, State},
    layer::{Ground, Made, Task},
    network, owner, run,
    step::Step,
};
use crate::{
    Error, Observer, Result, Source, StepReport, StepStart, StepTimes,
    context::{Jail, clean},
    dockerfile::{Declaration, Dockerfile, Instruction, Kind},
    expand::Reading,
    stages::Origin,
};

/// A stage that is being built.
pub struct StageRun<'a, 'b, 'o> {
    build: &'a Build<'b>,
    number: usize,
    state: State,
    steps: Vec<StepReport>,
    observer: &'o mut dyn Observer,
}

impl<'a, 'b, 'o> StageRun<'a, 'b, 'o> {
    pub fn new(build: &'a Build<'b>, number: usize, observer: &'o mut dyn Observer) -> Result<Self> {
        let stage = &build.file.stages[number];
        if let Some(flag) = stage.flags.iter().find(|flag| flag.name == "platform") {
            check_platform(&build.file.source, flag, &build.global, build.file.directives.escape)?;
        }
        let mut state = match &build.plan.bases[number] {
            // FROM of a directory was refused before.
            Origin::Scratch | Origin::Directory(_) => State::scratch(),
            Origin::Stage(base) => {
                let base = build.stage(number, *base);
                State::after(&base.map_err(|why| build.file.source.refuse(stage.base.span, why))?)
            }
            Origin::Image(name) => {
                let image = build.image(name).map_err(|error| {
                    build.file.source.refuse(stage.base.span, format!("cannot start from {name}: {error}"))
                })?;
                State::of_image(&image)
            }
        };
        let is_this = |wanted: &String| {
            stage.name.as_ref().is_some_and(|name| name.text == wanted.to_lowercase()) || *wanted == number.to_string()
        };
        state.no_cache = build.request.no_cache || build.request.no_cache_stages.iter().any(is_this);
        for name in PREDEFINED {
            if let Some(value) = build.request.build_args.get(*name) {
                state.undeclared.insert((*name).to_owned(), value.clone());
            }
        }
        Ok(Self { build, number, state, steps: Vec::new(), observer })
    }

    /// The stage's end, and what its steps did.
    pub fn run(mut self) -> Result<(State, Vec<StepReport>)> {
        self.triggers()?;
        let file = &self.build.file;
        for instruction in &file.stages[self.number].instructions {
            self.step(&file.source, instruction)?;
        }
        Ok((self.state, self.steps))
    }

    /// What the base's ONBUILD asks for, which is done once and not handed on.
    fn triggers(&mut self) -> Result<()> {
        let base = self.build.file.stages[self.number].base.text.clone();
        for text in self.state.docker.on_build.take().unwrap_or_default() {
            let file = trigger(&base, &text)?;
            let more = file.stages.iter().map(|stage| stage.instructions.len()).sum();
            self.build.total.fetch_add(more, Ordering::Relaxed);
            self.build.networks.expect(network::wanted(file.stages.iter().flat_map(|stage| &stage.instructions)));
            for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
                if matches!(instruction.kind, Kind::Onbuild(_) | Kind::Maintainer(_)) {
                    return Err(file.source.refuse(instruction.keyword, "this cannot be an ONBUILD trigger"));
                }
                self.step(&file.source, instruction)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, source: &Source, instruction: &Instruction) -> Result<()> {
        self.build.stopped()?;
        let step = Step { source, escape: self.build.file.directives.escape, instruction };
        let stage = &self.build.file.stages[self.number];
        let start = StepStart {
            index: self.build.begun.fetch_add(1, Ordering::Relaxed),
            total: self.build.total.load(Ordering::Relaxed),
            stage: stage.name.as_ref().map_or_else(|| self.number.to_string(), |name| name.text.clone()),
            instruction: instruction.text.clone(),
        };
        self.observer.step_started(&start);
        let made = self.carry_out(step, start.index)?;
        if network::wants(step.instruction) {
            self.build.networks.end_one();
        }
        let StepStart { index, total, stage, instruction } = start;
        let report =
            StepReport { index, total, stage, instruction, cached: made.cached, times: made.times, layer: made.layer };
        self.observer.step_done(&report);
        self.steps.push(report);
        Ok(())
    }

    fn carry_out(&mut self, step: Step<'_>, index: usize) -> Result<Made> {
        let text = &step.instruction.text;
        match &step.instruction.kind {
            Kind::Run(command) => {
                let command = run::Prepared::new(self.build, (self.number, index), &self.state, step, command)?;
                let key = command.key(self.build, &self.state, step)?;
                let (build, observer) = (self.build, &mut *self.observer);
                let before = self.state.clone();
                let task = Task { key, text, ground: Ground::Stage };
                build.layer(&mut self.state, task, |root| command.run(build, &before, step, root, observer))
            }
            Kind::Copy(transfer) | Kind::Add(transfer) => {
                let copy = self.build.prepare_copy(self.number, &self.state, step, transfer)?;
                let key = self.build.copy_key(&self.state, step, &copy)?;
                let build = self.build;
                let task = Task { key, text, ground: copy.ground() };
                build.layer(&mut self.state, task, |root| build.copy(step, &copy, root))
            }
            Kind::Workdir(dir) => {
                let dir = step.expand(dir, &self.state)?;
                self.state.enter(&dir);
                self.make_workdir(step)
            }
            kind => {
                match kind {
                    Kind::Arg(declared) => declared.iter().try_for_each(|argument| self.declare(step, argument))?,
                    _ => self.state.configure(step)?,
                }
                let time = self.build.time(&self.state);
                self.state.remember(text, false, time)?;
                Ok(Made { cached: false, times: StepTimes::default(), layer: None })
            }
        }
    }

    /// docker makes the directory, as a layer of its own.
    fn make_workdir(&mut self, step: Step<'_>) -> Result<Made> {
        let mut key = self.state.key("WORKDIR");
        key.add(self.state.workdir.as_bytes());
        // Who that is stands in the image below, and so in the chain.
        let user = self.state.user.clone().unwrap_or_default();
        key.add(user.as_bytes());
        let build = self.build;
        let dir = clean(Path::new(&self.state.workdir));
        let task = Task { key: key.finish(), text: &step.instruction.text, ground: Ground::Stage };
        build.layer(&mut self.state, task, |root| {
            let jail = Jail::open(root).map_err(Error::io("open", root))?;
            // The user may be made later, or never; root is the owner then, as with BuildKit.
            let owner = owner::find(&user, &jail).unwrap_or((0, 0));
            let made = jail.make_directories(&dir, Some(owner)).map(|_| ());
            made.map_err(|error| step.fails(format!("cannot make /{}: {error}", dir.display())))
        })
    }

    /// The build argument, else the default, else what a global ARG of the name has.
    fn declare(&mut self, step: Step<'_>, argument: &Declaration) -> Result<()> {
        let name = &argument.name.text;
        let value = match (self.build.request.build_args.get(name), &argument.value) {
            (Some(given), _) => Some(given.clone()),
            // A default that nobody asks for may refuse to be expanded, as ${X:?} does.
            (None, Some(default)) => Some(step.expand(default, &self.state)?),
            (None, None) => self.build.global.get(name).cloned(),
        };
        self.state.args.extend(value.map(|value| (name.clone(), value)));
        Ok(())
    }
}

/// A trigger of a base, as the instruction of a stage of its own.
pub fn trigger(base: &str, text: &str) -> Result<Dockerfile> {
    let name = format!("ONBUILD of {base}");
    Ok(crate::parse_named(&name, format!("FROM scratch\n{text}\n").as_bytes())?)
}

/// Only what this machine runs can be built here.
fn check_platform(
    source: &Source,
    flag: &crate::dockerfile::Flag,
    global: &std::collections::BTreeMap<String, String>,
    escape: char,
) -> Result<()> {
    let Some(word) = &flag.value else { return Ok(()) };
    let platform = Reading::new(escape)
        .word(&word.text, global)
        .map_err(|why| source.refuse(why.place(word), why.message.clone()))?;
    if super::platform::is_ours(&platform) {
        return Ok(());
    }
    let why = format!("this machine builds for {}, not for {platform}", super::platform::ours());
    Err(source.refuse(word.span, why))
}
