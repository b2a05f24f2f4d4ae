//! Variables for a container's programs, as docker's `--env-file` and `--env` give them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::failure::{Failure, Result};

/// A variable and its value; none for one that is to have this program's own, which has none.
pub type Variable = (String, Option<String>);

/// Those of files first, then those of options, in order; the last of a name counts.
pub fn given(files: &[PathBuf], options: &[String]) -> Result<Vec<Variable>> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(lines_of(file)?);
    }
    lines.iter().chain(options).map(|line| variable(line)).collect()
}

/// The lines of a file that say something, without comments: of variables, or of labels.
pub fn lines_of(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let told = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(told.map(str::to_owned).collect())
}

fn variable(text: &str) -> Result<Variable> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
    if name.is_empty() {
        return Err(Failure::usage(format!("an environment variable has to have a name, not {text:?}")));
    }
    Ok((name.to_owned(), value.or_else(|| env::var(name).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_before_options_and_names_alone_are_our_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        fs::write(&file, "# a comment\n\n  A=1\nB=x=y \nPATH\nNO_SUCH_VARIABLE\n").unwrap();
        let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let expected = vec![
            some("A", "1"),
            some("B", "x=y "),
            some("PATH", &env::var("PATH").unwrap()),
            ("NO_SUCH_VARIABLE".to_owned(), None),
            some("A", ""),
        ];
        assert_eq!(given(std::slice::from_ref(&file), &["A=".to_owned()]).unwrap(), expected);
        assert!(given(&[], &["=x".to_owned()]).is_err());
        assert!(given(&[dir.path().join("none")], &[]).is_err());
    }
}
