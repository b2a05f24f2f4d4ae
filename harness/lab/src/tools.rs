use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where programs are looked for besides `PATH`: an ordinary user's lacks `sbin`.
const ALSO: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// The path of a program, or the package that has it.
pub fn find(program: &'static str, package: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ALSO.iter().map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| is_program(candidate))
        .ok_or(Error::NoTool { program, package })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
