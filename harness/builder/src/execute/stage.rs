//! One stage, instruction by instruction.

use std::{mem, path::Path};

use super::{
    Build,
    config::{PREDEFINED, State},
    layer::Made,
    run,
};
use crate::{
    Error, Instruction, Kind, Observer, Result, StepReport, StepTimes,
    context::{Jail, clean},
    expand::expand,
    stages::Source,
};

/// A stage that is being built.
pub struct StageRun<'a, 'b, 'o> {
    build: &'a mut Build<'b>,
    number: usize,
    state: State,
    observer: &'o mut dyn Observer,
}

impl<'a, 'b, 'o> StageRun<'a, 'b, 'o> {
    pub fn new(build: &'a mut Build<'b>, number: usize, observer: &'o mut dyn Observer) -> Result<Self> {
        let mut state = match &build.plan.bases[number] {
            Source::Scratch => State::scratch(),
            Source::Stage(base) => build.done.get(base).map(State::after).ok_or(Error::Stopped)?,
            Source::Image(name) => {
                let image = build.layers.store().resolve(name).map_err(|error| {
                    let place = &build.file.stages[number].from;
                    place.wrong(format!("cannot start from {name}: {error}")).in_file(&build.file_name)
                })?;
                State::of_image(&image)
            }
        };
        for name in PREDEFINED {
            if let Some(value) = build.request.build_args.get(*name) {
                state.args.insert((*name).to_owned(), value.clone());
            }
        }
        Ok(Self { build, number, state, observer })
    }

    pub fn run(mut self) -> Result<State> {
        let instructions = mem::take(&mut self.build.file.stages[self.number].instructions);
        for instruction in &instructions {
            self.build.stopped()?;
            self.step(instruction)?;
        }
        self.build.file.stages[self.number].instructions = instructions;
        Ok(self.state)
    }

    fn step(&mut self, instruction: &Instruction) -> Result<()> {
        let index = self.build.steps.len();
        self.observer.step_started(index, self.build.total, &instruction.text);
        let made = self.carry_out(instruction)?;
        let stage = &self.build.file.stages[self.number];
        let report = StepReport {
            index,
            total: self.build.total,
            stage: stage.name.clone().unwrap_or_else(|| self.number.to_string()),
            instruction: instruction.text.clone(),
            cached: made.cached,
            times: made.times,
            layer: made.layer,
        };
        self.observer.step_done(&report);
        self.build.steps.push(report);
        Ok(())
    }

    fn expand(&self, instruction: &Instruction, text: &str) -> Result<String> {
        let expanded = expand(text, self.build.file.escape, &|name| self.state.variable(name));
        expanded.map_err(|why| instruction.place.wrong(why).in_file(&self.build.file_name).into())
    }

    fn carry_out(&mut self, instruction: &Instruction) -> Result<Made> {
        match &instruction.kind {
            Kind::Run(command) => {
                let mut key = self.state.key("RUN");
                key.add_list(&self.state.words(command));
                key.add_list(&self.state.run_env());
                key.add(self.state.workdir.as_bytes());
                key.add(self.state.user.as_deref().unwrap_or_default().as_bytes());
                let (build, observer) = (&*self.build, &mut *self.observer);
                let before = self.state.clone();
                build.layer(&mut self.state, key.finish(), &instruction.text, |root| {
                    run::run(build, &before, instruction, command, root, observer)
                })
            }
            Kind::Copy(copy) => {
                let expanded = |text: &str| self.expand(instruction, text);
                let copy = self.build.prepare_copy(self.number, &self.state, copy, &expanded)?;
                let key = self.build.copy_key(&self.state, instruction, &copy)?;
                let build = &*self.build;
                build.layer(&mut self.state, key, &instruction.text, |root| build.copy(instruction, &copy, root))
            }
            Kind::Workdir(dir) => {
                let dir = self.expand(instruction, dir)?;
                let old = if self.state.workdir.is_empty() { "/" } else { &self.state.workdir };
                let path = Path::new("/").join(clean(&Path::new(old).join(dir)));
                self.state.workdir = path.to_string_lossy().into_owned();
                self.make_workdir(instruction)
            }
            _ => {
                self.configure(instruction)?;
                self.state.remember(&instruction.text, false, self.build.now)?;
                Ok(Made { cached: false, times: StepTimes::default(), layer: None })
            }
        }
    }

    /// docker makes the directory, as a layer of its own.
    fn make_workdir(&mut self, instruction: &Instruction) -> Result<Made> {
        let mut key = self.state.key("WORKDIR");
        key.add(self.state.workdir.as_bytes());
        let build = &*self.build;
        let dir = clean(Path::new(&self.state.workdir));
        build.layer(&mut self.state, key.finish(), &instruction.text, |root| {
            let jail = Jail::open(root).map_err(Error::io("open", root))?;
            jail.make_directories(&dir, Some((0, 0))).map(|_| ()).map_err(|error| {
                let why = format!("cannot make /{}: {error}", dir.display());
                instruction.place.wrong(why).in_file(&build.file_name).into()
            })
        })
    }

    fn configure(&mut self, instruction: &Instruction) -> Result<()> {
        let expand = |text: &String| self.expand(instruction, text);
        let pairs = |pairs: &[(String, String)]| -> Result<Vec<(String, String)>> {
            pairs.iter().map(|(name, value)| Ok((expand(name)?, expand(value)?))).collect()
        };
        match &instruction.kind {
            Kind::Arg(arguments) => {
                for (name, default) in arguments {
                    self.declare(instruction, name, default.as_ref())?;
                }
            }
            Kind::Env(env) => {
                // All see the values from before the line.
                for (name, value) in pairs(env)? {
                    self.state.set_env(&name, &value);
                }
            }
            Kind::Label(labels) => {
                let labels = pairs(labels)?;
                self.state.labels.extend(labels);
            }
            Kind::Cmd(command) => {
                self.state.cmd = Some(self.state.words(command));
                self.state.own_cmd = true;
            }
            Kind::Entrypoint(command) => {
                self.state.entrypoint = Some(self.state.words(command));
                // A CMD of the base is for the base's entry point.
                if !self.state.own_cmd {
                    self.state.cmd = None;
                }
            }
            Kind::User(user) => self.state.user = Some(expand(user)?),
            Kind::Expose(ports) => {
                let ports: Vec<String> = ports.iter().map(expand).collect::<Result<_>>()?;
                let with_protocol = |port: String| if port.contains('/') { port } else { port + "/tcp" };
                self.state.ports.extend(ports.into_iter().map(with_protocol));
            }
            Kind::Volume(volumes) => {
                let volumes: Vec<String> = volumes.iter().map(expand).collect::<Result<_>>()?;
                self.state.volumes.extend(volumes);
            }
            Kind::StopSignal(signal) => self.state.stop_signal = Some(expand(signal)?),
            Kind::Shell(words) => self.state.shell = Some(words.clone()),
            Kind::Maintainer(name) => self.state.author = Some(name.clone()),
            Kind::Run(_) | Kind::Copy(_) | Kind::Workdir(_) => {}
        }
        Ok(())
    }

    /// The build argument, else the default, else what a global ARG of the name has.
    fn declare(&mut self, instruction: &Instruction, name: &str, default: Option<&String>) -> Result<()> {
        let given = self.build.request.build_args.get(name).cloned();
        let default = default.map(|default| self.expand(instruction, default)).transpose()?;
        if let Some(value) = given.or(default).or_else(|| self.build.global.get(name).cloned()) {
            self.state.args.insert(name.to_owned(), value);
        }
        Ok(())
    }
}
