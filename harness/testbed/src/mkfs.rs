//! Making file systems that are the same every time.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, FileSystem, Result};

/// The same for every run, so that hashes and identifiers, and with them the blocks written, repeat.
const UUID: &str = "6a617373-7465-7374-6265-640000000001";

/// The program, its Debian package, its arguments, and the mount options for what it makes.
struct Recipe {
    program: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
    mount_options: &'static str,
}

/// No lazy initialisation: it would write in the background for minutes. Discarding the fresh file is pointless.
const fn recipe(file_system: FileSystem) -> Recipe {
    match file_system {
        FileSystem::Ext4 => Recipe {
            program: "mkfs.ext4",
            package: "e2fsprogs",
            arguments: &[
                "-q",
                "-F",
                "-U",
                UUID,
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0,hash_seed=6a617373-7465-7374-6265-640000000002",
            ],
            mount_options: "noatime",
        },
        FileSystem::Xfs => Recipe {
            program: "mkfs.xfs",
            package: "xfsprogs",
            arguments: &["-q", "-f", "-K", "-m", "reflink=1,uuid=6a617373-7465-7374-6265-640000000001"],
            mount_options: "noatime",
        },
        FileSystem::Btrfs => Recipe {
            program: "mkfs.btrfs",
            package: "btrfs-progs",
            arguments: &["-q", "-f", "-K", "-U", UUID],
            mount_options: "noatime",
        },
    }
}

/// What was made, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub command: String,
    pub version: String,
    pub mount_options: &'static str,
}

/// Where the program is; /usr/sbin is not in every user's PATH.
pub fn find(file_system: FileSystem) -> Result<PathBuf> {
    let Recipe { program, package, .. } = recipe(file_system);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|path| path.is_file()).ok_or(Error::NoMkfs { program, package })
}

pub fn make(file_system: FileSystem, device: &Path) -> Result<Made> {
    let program = find(file_system)?;
    let recipe = recipe(file_system);
    let arguments = recipe.arguments;
    let output = Command::new(&program)
        .args(arguments)
        .arg(device)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("run", &program))?;
    let text = format!("{} {} DEVICE", recipe.program, arguments.join(" "));
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Mkfs { command: text, output: format!("{}: {said}", output.status) });
    }
    Ok(Made { command: text, version: version(&program), mount_options: recipe.mount_options })
}

/// `-V` is the one option that all three share; each prints its version first, two of them on standard error.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("-V").stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}
