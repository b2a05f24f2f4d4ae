//! Build checks: what is allowed in a Dockerfile and yet most likely a mistake, by the names that BuildKit's checks have
//! (docs.docker.com/reference/build-checks).

mod directive;
mod expansions;
mod form;
mod rule;
mod stages;

use std::{cell::RefCell, collections::BTreeSet};

pub use self::rule::{Rule, Warning};
use self::{directive::Chosen, form::Form, stages::Stages};
use crate::{
    BuildRequest, Error, Ignore, Result,
    builtin::CHECK as ARGUMENT,
    dockerfile::Dockerfile,
    source::{Source, Span},
};

/// Warnings as they are found.
struct Findings<'a> {
    source: &'a Source,
    chosen: Chosen,
    found: RefCell<Vec<Warning>>,
    /// A rule says one thing once of one place.
    seen: RefCell<BTreeSet<(Rule, Span)>>,
}

impl Findings<'_> {
    fn add(&self, rule: Rule, span: Span, message: impl Into<String>) {
        self.add_with_hint(rule, span, message, None);
    }

    fn add_with_hint(&self, rule: Rule, span: Span, message: impl Into<String>, near: Option<&str>) {
        if self.chosen.has(rule) && self.seen.borrow_mut().insert((rule, span)) {
            let hint = near.map(|near| format!("did you mean {near}?"));
            let diagnostic = self.source.error(span, message).maybe_hint(hint);
            self.found.borrow_mut().push(Warning { rule, diagnostic });
        }
    }
}

/// What is known beside the text.
pub struct Known<'a> {
    pub request: &'a BuildRequest,
    pub ignore: &'a Ignore,
    /// The configuration of a base image; `None` for one that is not at hand.
    pub image: &'a dyn Fn(&str) -> Option<crate::execute::State>,
}

/// All that is wrong by the rules that the file and the request choose, in the order of the file.
///
/// # Errors
/// For a `check` directive that cannot be read, and for warnings where it says `error=true`.
pub fn check(file: &Dockerfile, known: &Known<'_>) -> Result<Vec<Warning>> {
    // It says the same as the directive, and wins over it.
    let argument = known.request.build_args.get(ARGUMENT).map(String::as_str);
    let chosen = match argument {
        Some(text) => Chosen::read(text).map_err(|why| {
            file.source.refuse(Span::default(), format!("the build argument {ARGUMENT} cannot be read: {why}"))
        })?,
        None => match &file.directives.check {
            Some(word) => Chosen::read(&word.text).map_err(|why| file.source.refuse(word.span, why))?,
            None => Chosen::default(),
        },
    };
    let is_error = chosen.is_error;
    let findings = Findings { source: &file.source, chosen, found: RefCell::default(), seen: RefCell::default() };
    Form { file, findings: &findings }.check();
    Stages::new(file, known, &findings).check();
    let mut found = findings.found.into_inner();
    found.sort_by_key(|warning| (warning.diagnostic.line(), warning.diagnostic.column(), warning.rule));
    if is_error && !found.is_empty() {
        return Err(Error::Checks { file: file.source.name().to_owned(), warnings: found });
    }
    Ok(found)
}

/// What the build checks find in a text alone, without a build context and base images; `name` is for messages.
///
/// # Errors
/// As for a build: [`Error::Dockerfile`], [`Error::Checks`].
pub fn check_text(name: &str, source: &[u8]) -> Result<Vec<Warning>> {
    let file = crate::parse_named(name, source)?;
    let request = BuildRequest::default();
    check(&file, &Known { request: &request, ignore: &Ignore::default(), image: &|_| None })
}

#[cfg(test)]
mod tests;
