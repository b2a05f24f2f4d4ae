//! Templates in the language of Go's text/template, as far as docker's `--format` has it: all but templates within templates.

mod compare;
mod error;
mod eval;
mod functions;
mod lexer;
mod parser;
mod printf;
#[cfg(test)]
mod tests;
mod value;

pub use error::{Error, Result};
pub use eval::Template;
pub use value::{Methods, Value};
