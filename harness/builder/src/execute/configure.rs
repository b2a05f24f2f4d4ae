//! Instructions that change the configuration only.

use std::path::Path;

use harness_image::HealthCheck;
use harness_runtime::signal;

use super::{config::State, step::Step};
use crate::{
    Result,
    context::clean,
    dockerfile::{CommandForm, Healthcheck, Instruction, KeyValue, Kind, Word},
    expand::Reading,
};

impl State {
    /// Carries one out.
    pub fn configure(&mut self, step: Step<'_>) -> Result<()> {
        let expand = |word: &Word| step.expand(word, self);
        match &step.instruction.kind {
            Kind::Env(env) => {
                // All see the values from before the line.
                for (name, value) in pairs(env, &expand)? {
                    self.set_env(&name, &value);
                }
            }
            Kind::Label(labels) => {
                let labels = pairs(labels, &expand)?;
                self.labels.extend(labels);
            }
            Kind::Cmd(command) => {
                self.cmd = Some(self.words(command));
                self.own_cmd = true;
            }
            Kind::Entrypoint(command) => {
                self.entrypoint = Some(self.words(command));
                // A CMD of the base is for the base's entry point.
                if !self.own_cmd {
                    self.cmd = None;
                }
            }
            Kind::User(user) => self.user = Some(expand(user)?),
            Kind::Expose(ports) => {
                for port in ports {
                    let found = Reading::new(step.escape).words(&port.text, self);
                    let found = found.map_err(|why| step.wrong(why.place(port), why.message.clone()))?;
                    self.expose(&found).map_err(|why| step.wrong(port.span, why))?;
                }
            }
            Kind::Volume(volumes) => {
                let volumes: Vec<String> = volumes.iter().map(expand).collect::<Result<_>>()?;
                self.volumes.extend(volumes);
            }
            Kind::Stopsignal(word) => {
                let signal = expand(word)?;
                signal::parse(&signal).map_err(|why| step.wrong(word.span, why))?;
                self.stop_signal = Some(signal);
            }
            Kind::Shell(words) => self.docker.shell = Some(words.clone()),
            Kind::Maintainer(name) => self.author = Some(name.text.clone()),
            Kind::Healthcheck(check) => self.docker.healthcheck = Some(health_check(check, self)),
            Kind::Onbuild(trigger) => {
                self.docker.on_build.get_or_insert_default().push(as_written(trigger));
            }
            Kind::Workdir(dir) => {
                let dir = expand(dir)?;
                self.enter(&dir);
            }
            Kind::Arg(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) => {
                return Err(step.fails("this changes more than the configuration"));
            }
        }
        Ok(())
    }

    /// WORKDIR: relative to the one before.
    pub fn enter(&mut self, dir: &str) {
        let old = if self.workdir.is_empty() { "/" } else { &self.workdir };
        let path = Path::new("/").join(clean(&Path::new(old).join(dir)));
        self.workdir = path.to_string_lossy().into_owned();
    }
}

fn pairs(pairs: &[KeyValue], expand: &dyn Fn(&Word) -> Result<String>) -> Result<Vec<(String, String)>> {
    pairs.iter().map(|pair| Ok((expand(&pair.key)?, expand(&pair.value)?))).collect()
}

/// A trigger is kept as text, its heredocs with it.
fn as_written(trigger: &Instruction) -> String {
    let mut text = trigger.text.clone();
    for heredoc in &trigger.heredocs {
        text.push('\n');
        text.push_str(&heredoc.raw);
        text.push_str(&heredoc.name);
    }
    text
}

fn health_check(check: &Healthcheck, state: &State) -> HealthCheck {
    let nanos =
        |time: Option<std::time::Duration>| time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let test = match check.command.as_ref().map(|command| &command.form) {
        None => vec!["NONE".to_owned()],
        Some(CommandForm::Exec(words)) => std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(),
        Some(CommandForm::Shell(line)) => match &state.docker.shell {
            // The shell of SHELL, since docker's CMD-SHELL means /bin/sh.
            Some(shell) => {
                std::iter::once("CMD".to_owned()).chain(shell.iter().cloned()).chain([line.clone()]).collect()
            }
            None => vec!["CMD-SHELL".to_owned(), line.clone()],
        },
    };
    HealthCheck {
        test,
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
        retries: check.retries.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_are_those_that_there_are() {
        let read = |signal: &str| crate::configure("f", format!("FROM scratch\nSTOPSIGNAL {signal}\n").as_bytes());
        for signal in ["9", "SIGINT", "quit", "RTMIN+3"] {
            let config = read(signal).unwrap().oci.config().clone().unwrap();
            assert_eq!(config.stop_signal().as_deref(), Some(signal));
        }
        for wrong in ["0", "SIGNAL"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("f:2:12: {wrong:?} is no signal")), "{error}");
        }
    }
}
