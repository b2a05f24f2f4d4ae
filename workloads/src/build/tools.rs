//! Whether the base image has the programs that a Dockerfile runs: it is made of this machine's own.

use super::input::Input;
use crate::{Engine, Error, Result, RunSpec};

/// Looks for the programs in a container.
///
/// # Errors
/// [`Error::Missing`] with the packages that have them; the engine's.
pub(super) fn check(input: &Input, engine: &mut dyn Engine) -> Result<()> {
    let programs = input.programs();
    if programs.is_empty() {
        return Ok(());
    }
    for base in input.bases()? {
        let script = format!("for p in {}; do command -v $p >/dev/null || echo $p; done", programs.join(" "));
        let command = vec!["sh".to_owned(), "-c".to_owned(), script];
        let ran = engine.run(&RunSpec { image: &base, command })?;
        let said = String::from_utf8_lossy(&ran.stdout);
        let lacking: Vec<_> = programs.iter().copied().filter(|name| said.lines().any(|line| line == *name)).collect();
        if !lacking.is_empty() {
            return Err(missing(&base, &lacking));
        }
    }
    Ok(())
}

fn missing(base: &str, programs: &[&str]) -> Error {
    let mut packages: Vec<_> = programs.iter().map(|program| package(program)).collect();
    packages.sort_unstable();
    packages.dedup();
    Error::Missing {
        what: format!("the base image {base} lacks {}, as this machine does", programs.join(", ")),
        remedy: format!("install what has it (Debian: apt-get install {})", packages.join(" ")),
    }
}

fn package(program: &str) -> &'static str {
    match program {
        "make" => "make",
        "sed" => "sed",
        "grep" => "grep",
        "awk" => "mawk",
        "find" | "xargs" => "findutils",
        _ => "coreutils",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_are_named_once() {
        assert_eq!(
            missing("host", &["make", "find", "xargs"]).to_string(),
            "the base image host lacks make, find, xargs, as this machine does; install what has it (Debian: apt-get \
             install findutils make)"
        );
    }
}
