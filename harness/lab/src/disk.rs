//! The guest's disk: a sparse file with an ext4 in it.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use crate::{Error, Result, tools};

const MKFS: &str = "mkfs.ext4";

/// Makes it here rather than in the guest, where every instruction is emulated.
pub fn make(path: &Path, size: u64) -> Result<()> {
    let mkfs = tools::find(MKFS, "e2fsprogs")?;
    let file = File::create_new(path).map_err(Error::io("create", path))?;
    file.set_len(size).map_err(Error::io("enlarge", path))?;
    let output = Command::new(mkfs)
        // Nothing is left for the guest's kernel to initialise while something is measured.
        // Project quotas, so that drivers can limit layers.
        .args([
            "-q",
            "-F",
            "-O",
            "quota,project",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            "-m",
            "0",
            "-L",
            "lab",
        ])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("run", MKFS))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Mkfs { command: MKFS, output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
