//! Checks of how a Dockerfile is written.

use super::{Findings, Rule};
use crate::{
    dockerfile::{Dockerfile, Instruction, Kind, Stage, Word},
    source::Span,
};

/// Words of names that stand for something secret.
const SECRETS: [&str; 12] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "passwd",
    "pword",
    "secret",
    "secrets",
    "token",
    "tokens",
];

pub struct Form<'a> {
    pub file: &'a Dockerfile,
    pub findings: &'a Findings<'a>,
}

impl Form<'_> {
    pub fn check(&self) {
        self.keywords();
        for span in &self.file.empty_continuations {
            let why = "an empty line within an instruction; later versions of Dockerfiles may refuse it";
            self.findings.add(Rule::NoEmptyContinuation, *span, why);
        }
        for (number, stage) in self.file.stages.iter().enumerate() {
            self.from(number, stage);
            self.only_the_last_counts(stage);
            stage.instructions.iter().for_each(|instruction| self.instruction(instruction));
        }
        self.file.global_args.iter().for_each(|instruction| self.instruction(instruction));
        self.descriptions();
    }

    fn text(&self, span: Span) -> &str {
        self.file.source.get(span)
    }

    /// `FROM` or `from`: the first word of a stage.
    fn keyword_of(&self, stage: &Stage) -> Span {
        let text = self.text(stage.span);
        stage.span.part(0..text.find(char::is_whitespace).unwrap_or(text.len()))
    }

    fn keywords(&self) {
        let file = self.file;
        let mut spans: Vec<Span> = file.global_args.iter().map(|instruction| instruction.keyword).collect();
        for stage in &file.stages {
            spans.push(self.keyword_of(stage));
            spans.extend(stage.instructions.iter().map(|instruction| instruction.keyword));
        }
        let is_upper = |span: &Span| self.text(*span).chars().all(|c| !c.is_ascii_lowercase());
        let is_lower = |span: &Span| self.text(*span).chars().all(|c| !c.is_ascii_uppercase());
        let upper = spans.iter().filter(|span| is_upper(span)).count();
        let lower = spans.iter().filter(|span| is_lower(span)).count();
        let (wanted, matches): (_, &dyn Fn(&Span) -> bool) =
            if lower > upper { ("lower", &is_lower) } else { ("upper", &is_upper) };
        for span in spans.iter().filter(|span| !matches(span)) {
            let why = format!("{} is not in {wanted} case as most instructions are", self.text(*span));
            self.findings.add(Rule::ConsistentInstructionCasing, *span, why);
        }
    }

    fn from(&self, number: usize, stage: &Stage) {
        let Some(name) = &stage.name else { return };
        let written = self.text(name.span);
        if written.chars().any(char::is_uppercase) {
            let why = format!("the stage name {written} is not in lower case");
            self.findings.add(Rule::StageNameCasing, name.span, why);
        }
        if matches!(name.text.as_str(), "scratch" | "context") {
            let why = format!("{} has a meaning of its own and should not be the name of a stage", name.text);
            self.findings.add(Rule::ReservedStageName, name.span, why);
        }
        let earlier = self.file.stages[..number].iter().filter_map(|stage| stage.name.as_ref());
        if let Some(known) = earlier.into_iter().rfind(|known| known.text == name.text) {
            let (line, _) = self.file.source.position(known.span.start);
            let why = format!("the stage of line {line} has the name {} already", name.text);
            self.findings.add(Rule::DuplicateStageName, name.span, why);
        }
        self.casing_of_as(stage, name);
    }

    fn casing_of_as(&self, stage: &Stage, name: &Word) {
        let keyword = self.text(self.keyword_of(stage));
        let between = Span::new(stage.base.span.end, name.span.start);
        let text = self.text(between);
        let mut at = 0;
        for word in text.split_whitespace() {
            let start = text.get(at..).and_then(|rest| rest.find(word)).map_or(at, |found| at + found);
            at = start + word.len();
            if !word.eq_ignore_ascii_case("as") {
                continue;
            }
            let upper = |text: &str| text.chars().all(|c| c.is_ascii_uppercase());
            let lower = |text: &str| text.chars().all(|c| c.is_ascii_lowercase());
            if (upper(keyword) && !upper(word)) || (lower(keyword) && !lower(word)) {
                let why = format!("{word} is not in the case of {keyword}");
                self.findings.add(Rule::FromAsCasing, between.part(start..at), why);
            }
            return;
        }
    }

    fn only_the_last_counts(&self, stage: &Stage) {
        let name = |instruction: &Instruction| match instruction.kind {
            Kind::Cmd(_) => Some("CMD"),
            Kind::Entrypoint(_) => Some("ENTRYPOINT"),
            Kind::Healthcheck(_) => Some("HEALTHCHECK"),
            _ => None,
        };
        for wanted in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
            let all: Vec<_> = stage.instructions.iter().filter(|found| name(found) == Some(wanted)).collect();
            for earlier in all.iter().rev().skip(1) {
                let why = format!("another {wanted} follows in the same stage, and only the last one counts");
                self.findings.add(Rule::MultipleInstructionsDisallowed, earlier.keyword, why);
            }
        }
    }

    fn instruction(&self, instruction: &Instruction) {
        match &instruction.kind {
            Kind::Maintainer(_) => {
                let why = "MAINTAINER is deprecated; write LABEL org.opencontainers.image.authors=\"...\"";
                self.findings.add(Rule::MaintainerDeprecated, instruction.keyword, why);
            }
            Kind::Env(pairs) | Kind::Label(pairs) => {
                let is_env = matches!(instruction.kind, Kind::Env(_));
                let keyword = if is_env { "ENV" } else { "LABEL" };
                for pair in pairs {
                    if pair.legacy {
                        let why = format!("write {keyword} {0}=VALUE instead of {keyword} {0} VALUE", pair.key.text);
                        self.findings.add(Rule::LegacyKeyValueFormat, pair.key.span, why);
                    }
                    if is_env {
                        self.secret(keyword, &pair.key);
                    }
                }
            }
            Kind::Arg(declared) => declared.iter().for_each(|argument| self.secret("ARG", &argument.name)),
            Kind::Expose(ports) => ports.iter().for_each(|port| self.port(port)),
            Kind::Onbuild(inner) => self.instruction(inner),
            _ => {}
        }
    }

    /// By the words of the name.
    fn secret(&self, keyword: &str, name: &Word) {
        let lower = name.text.to_ascii_lowercase();
        let words: Vec<&str> = lower.split('_').collect();
        if words.iter().any(|word| SECRETS.contains(word)) && !words.contains(&"public") {
            let why = format!(
                "the value of {keyword} {} stays in the image for all to read; use RUN --mount=type=secret",
                name.text
            );
            self.findings.add(Rule::SecretsUsedInArgOrEnv, name.span, why);
        }
    }

    fn port(&self, port: &Word) {
        let (range, protocol) = port.text.split_once('/').unwrap_or((&port.text, ""));
        if protocol.chars().any(char::is_uppercase) && !protocol.contains('$') {
            let why = format!("the protocol {protocol} is not in lower case");
            self.findings.add(Rule::ExposeProtoCasing, port.span, why);
        }
        if range.contains(':') && !range.contains('$') {
            let why = format!(
                "{range} is more than a port: addresses and the host's ports are chosen when a container is run"
            );
            self.findings.add(Rule::ExposeInvalidFormat, port.span, why);
        }
    }

    /// A comment right above a global ARG or a named stage is taken for its description, which begins with the name.
    fn descriptions(&self) {
        for instruction in &self.file.global_args {
            if let Kind::Arg(declared) = &instruction.kind {
                let names: Vec<&str> = declared.iter().map(|argument| argument.name.text.as_str()).collect();
                self.description(instruction.span, &names);
            }
        }
        for stage in &self.file.stages {
            if let Some(name) = &stage.name {
                self.description(stage.span, &[self.text(name.span)]);
            }
        }
    }

    fn description(&self, below: Span, names: &[&str]) {
        let before = self.file.source.text().get(..below.start).unwrap_or_default();
        let Some(line) = before.strip_suffix('\n').map(|before| before.rsplit('\n').next().unwrap_or_default()) else {
            return;
        };
        let Some(comment) = line.trim().strip_prefix('#') else { return };
        let start = before.len() - 1 - line.len();
        let directives = [&self.file.directives.syntax, &self.file.directives.check];
        let last = directives.into_iter().flatten().map(|word| word.span.end).max().unwrap_or(0);
        if last > start {
            return;
        }
        let first = comment.split_whitespace().next().unwrap_or_default();
        if !names.contains(&first) {
            let why = format!(
                "a comment that describes {0} begins with {0}; leave a line between any other",
                names.join(" or ")
            );
            self.findings.add(Rule::InvalidDefinitionDescription, Span::new(start, start + line.len()), why);
        }
    }
}
