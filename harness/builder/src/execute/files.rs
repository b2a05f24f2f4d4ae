//! Where COPY and mounts take files from.

use std::path::PathBuf;

use super::{Build, config::State, first_ignore};
use crate::{
    Error, Ignore, Result, Span,
    context::Jail,
    execute::step::Step,
    stages::{Origin, find},
};

/// Files that are no part of the stage itself.
pub enum Files {
    /// A directory of this machine's, and what of it is left out.
    Tree(Tree),
    /// Those of a stage or an image.
    State(Box<State>),
}

/// A context beside the build's own.
pub struct Tree {
    pub files: Jail,
    pub ignore: Ignore,
}

impl Tree {
    fn open(path: PathBuf) -> Result<Self> {
        let files = Jail::open(&path).map_err(Error::io("open the build context", path))?;
        let ignore = first_ignore(None, &files)?;
        Ok(Self { files, ignore })
    }
}

impl Build<'_> {
    /// What `from=` means in a stage; what is wrong with it is shown at `span`.
    pub fn files_of(&self, stage: usize, step: Step<'_>, name: &str, span: Span) -> Result<Files> {
        let state = match find(&self.file, &self.request.contexts, stage, name, true) {
            Origin::Stage(number) => self.stage(stage, number).map_err(|why| step.wrong(span, why))?,
            Origin::Scratch => State::scratch(),
            Origin::Image(name) => State::of_image(&self.image(&name).map_err(|why| step.wrong(span, why))?),
            Origin::Directory(path) => return Tree::open(path).map(Files::Tree),
        };
        Ok(Files::State(Box::new(state)))
    }
}
