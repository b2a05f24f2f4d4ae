//! An instruction together with the text it stands in.

use crate::{
    Error, Result, Source, Span,
    dockerfile::{Instruction, Word},
    expand::{Reading, Variables},
};

/// An instruction of the Dockerfile, or a trigger of a base image.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    pub source: &'a Source,
    pub escape: char,
    pub instruction: &'a Instruction,
}

impl Step<'_> {
    /// An error that points at a word.
    pub fn wrong(&self, span: Span, why: impl Into<String>) -> Error {
        self.source.refuse(span, why)
    }

    /// The same at the instruction's name.
    pub fn fails(&self, why: impl Into<String>) -> Error {
        self.wrong(self.instruction.keyword, why)
    }

    pub fn expand(&self, word: &Word, variables: &dyn Variables) -> Result<String> {
        let expanded = Reading::new(self.escape).word(&word.text, variables);
        expanded.map_err(|why| self.wrong(why.place(word), why.message.clone()))
    }

    /// What a flag says, expanded.
    pub fn option(&self, name: &str, variables: &dyn Variables) -> Result<Option<String>> {
        let value = self.instruction.flag(name).and_then(|flag| flag.value.as_ref());
        value.map(|value| self.expand(value, variables)).transpose()
    }

    /// Where a flag stands, or else the instruction's name.
    pub fn place_of(&self, flag: &str) -> Span {
        self.instruction.flag(flag).map_or(self.instruction.keyword, |flag| flag.span)
    }

    /// `Dockerfile:7`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.source.name(), self.source.position(self.instruction.span.start).0)
    }
}
