//! What a build tells while it goes on, on standard error.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::ValueEnum;
use harness_builder::{Observer, StepReport, StepStart, Stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::say;

/// Of the output of a step that fails, this much is shown where a terminal has shown its last line only.
const KEPT: usize = 16 << 10;

/// How much is told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// tty on a terminal, else plain
    Auto,
    /// Every line of output, with the number of its step
    Plain,
    /// A line for each running step
    Tty,
    /// Nothing
    Quiet,
}

/// Tells what is going on.
pub struct Teller {
    screen: Option<MultiProgress>,
    quiet: bool,
    steps: BTreeMap<usize, Step>,
}

#[derive(Default)]
struct Step {
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// The last of the output.
    kept: Vec<u8>,
    bar: Option<ProgressBar>,
}

impl Teller {
    pub fn new(style: Style) -> Self {
        let is_terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let on_screen = style == Style::Tty || (style == Style::Auto && is_terminal);
        let screen = on_screen.then(MultiProgress::new);
        Self { screen, quiet: style == Style::Quiet, steps: BTreeMap::new() }
    }

    fn tell(&self, line: &str) {
        match &self.screen {
            _ if self.quiet => {}
            Some(screen) => _ = screen.println(line),
            None => say(line),
        }
    }

    /// After a failure: what the steps that did not end have said, unless it was shown.
    pub fn failed(&mut self) {
        let Some(screen) = self.screen.take() else { return };
        let _ = screen.clear();
        for step in std::mem::take(&mut self.steps).into_values() {
            let _ = std::io::stderr().write_all(&step.kept);
        }
    }
}

impl Observer for Teller {
    fn step_started(&mut self, step: &StepStart) {
        if self.quiet {
            return;
        }
        let title = format!("#{}/{} [{}] {}", step.index + 1, step.total, step.stage, step.instruction);
        let mut shown = Step::default();
        match &self.screen {
            None => say(&title),
            Some(screen) => {
                let bar = screen.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed}\n    {wide_msg}") {
                    bar.set_style(style);
                }
                bar.set_prefix(title.chars().take(100).map(printable).collect::<String>());
                bar.enable_steady_tick(Duration::from_millis(100));
                shown.bar = Some(bar);
            }
        }
        self.steps.insert(step.index, shown);
    }

    fn output(&mut self, index: usize, _: Stream, bytes: &[u8]) {
        let Some(step) = self.steps.get_mut(&index) else { return };
        step.kept.extend_from_slice(bytes);
        let surplus = step.kept.len().saturating_sub(KEPT);
        step.kept.drain(..surplus);
        step.line.extend_from_slice(bytes);
        // A line without an end is shown in pieces.
        let end = match step.line.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if step.line.len() > KEPT => step.line.len(),
            None => return,
        };
        let rest = step.line.split_off(end);
        let lines = std::mem::replace(&mut step.line, rest);
        show(index, step, &lines);
    }

    fn step_done(&mut self, report: &StepReport) {
        let Some(mut step) = self.steps.remove(&report.index) else { return };
        let last = std::mem::take(&mut step.line);
        if !last.is_empty() {
            show(report.index, &step, &last);
        }
        let number = report.index + 1;
        if let Some(bar) = step.bar {
            bar.finish_and_clear();
            self.tell(&format!("#{number} [{}] {}", report.stage, report.instruction));
        }
        if report.cached {
            self.tell(&format!("#{number} ---> from the cache"));
        } else if let Some(layer) = report.layer {
            let time = report.times;
            let total = time.prepare + time.mount + time.run + time.diff + time.commit;
            self.tell(&format!(
                "#{number} ---> layer of {} in {:.0} ms; copied up: {} files, {}",
                layer.size,
                total.as_secs_f64() * 1e3,
                layer.copied_up.files,
                layer.copied_up.bytes
            ));
        }
    }

    fn warning(&mut self, text: &str) {
        self.tell(&format!("warning: {text}"));
    }
}

fn show(index: usize, step: &Step, lines: &[u8]) {
    let text = String::from_utf8_lossy(lines);
    match &step.bar {
        Some(bar) => {
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            if let Some(last) = last {
                bar.set_message(last.chars().take(300).map(printable).collect::<String>());
            }
        }
        None => {
            let mut out = std::io::stderr().lock();
            for line in text.lines() {
                let _ = writeln!(out, "#{} {line}", index + 1);
            }
        }
    }
}

/// A command's control characters are for its own screen.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
