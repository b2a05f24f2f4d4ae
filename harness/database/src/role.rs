//! The same as the program of a process: its one argument says what to do, its output what came of it.

use std::{ffi::CString, io::Write};

use crate::{Error, Report, Result, Work, work};

/// The name of this program among those of the harness.
pub const ROLE: &str = "database";

/// The arguments of the process that does `work`.
#[must_use]
pub fn request(work: &Work) -> Vec<String> {
    // A structure of numbers and strings; only a path that is no UTF-8 could not be written.
    vec![ROLE.to_owned(), serde_json::to_string(work).unwrap_or_default()]
}

/// What the process answered.
///
/// # Errors
/// [`Error::Process`] when it failed, with what it said.
pub fn report(status: i32, stdout: &[u8], stderr: &[u8]) -> Result<Report> {
    let failed = |said: String| Error::Process { status, said: said.trim().to_owned() };
    if status != 0 {
        return Err(failed(String::from_utf8_lossy(stderr).into_owned()));
    }
    serde_json::from_slice(stdout).map_err(|error| failed(error.to_string()))
}

/// The program: gives the exit status.
#[must_use]
pub fn work_if_asked(args: &[CString]) -> i32 {
    let asked = args.get(1).and_then(|text| serde_json::from_slice::<Work>(text.to_bytes()).ok());
    let answer = asked.ok_or_else(|| "no work was given".to_owned());
    let answer = answer.and_then(|asked| work(&asked).map_err(|error| error.to_string()));
    let answer = answer.and_then(|report| serde_json::to_vec(&report).map_err(|error| error.to_string()));
    let written = answer.and_then(|json| std::io::stdout().write_all(&json).map_err(|error| error.to_string()));
    match written {
        Ok(()) => 0,
        Err(error) => {
            // Nobody is left to tell when that fails, too.
            let _ = writeln!(std::io::stderr(), "{error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_failed_is_told_with_its_words() {
        let error = report(1, b"", b"cannot open the database /db: disk full\n").unwrap_err().to_string();
        assert!(error.contains("status 1") && error.ends_with("disk full"), "{error}");
        assert!(report(0, b"no json", b"").is_err());
    }
}
