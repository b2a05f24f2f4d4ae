//! Making file systems that are the same every time.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, FileSystem, Result};

/// How the UUIDs of all our file systems start, as bytes and as text. The rest is random: xfs does not mount two of
/// the same UUID at once and btrfs would take them for one, and a run has a testbed for each driver.
pub const UUID_START: [u8; 10] = *b"jasstestbe";
const UUID_START_TEXT: &str = "6a617373-7465-7374-6265-";

/// What stands for the UUID in the record, which is to be the same for every run.
const UUID_WORD: &str = "UUID";

/// The program and its Debian package, where one is needed.
const fn program(file_system: FileSystem) -> Option<(&'static str, &'static str)> {
    match file_system {
        FileSystem::Ext4 => Some(("mkfs.ext4", "e2fsprogs")),
        FileSystem::Xfs => Some(("mkfs.xfs", "xfsprogs")),
        FileSystem::Btrfs => Some(("mkfs.btrfs", "btrfs-progs")),
        FileSystem::Raw => None,
    }
}

/// No lazy initialisation: it would write in the background for minutes. Discarding a fresh file is pointless. The
/// hash seed decides the order of ext4's directories. btrfs would keep its metadata twice (mkfs.btrfs(8), "Profiles"), which
/// neither ext4 nor xfs do, and which moves its counters by several percent from one run to the next.
fn arguments(file_system: FileSystem, quota: bool, uuid: &str) -> Vec<String> {
    const EXT4: &str =
        "nodiscard,lazy_itable_init=0,lazy_journal_init=0,hash_seed=6a617373-7465-7374-6265-640000000002";
    let text = match (file_system, quota) {
        (FileSystem::Ext4, false) => format!("-q -F -U {uuid} -E {EXT4}"),
        (FileSystem::Ext4, true) => format!("-q -F -U {uuid} -O quota,project -E {EXT4},quotatype=prjquota"),
        (FileSystem::Xfs, _) => format!("-q -f -K -m reflink=1,uuid={uuid}"),
        (FileSystem::Btrfs, _) => format!("-q -f -K -m single -U {uuid}"),
        (FileSystem::Raw, _) => String::new(),
    };
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// What was made, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub command: String,
    pub version: String,
}

/// Where the program is, if one is needed; /usr/sbin is not in every user's PATH.
pub fn find(file_system: FileSystem) -> Result<Option<PathBuf>> {
    let Some((program, package)) = program(file_system) else { return Ok(None) };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = dirs.map(|dir| dir.join(program)).find(|path| path.is_file());
    found.map(Some).ok_or(Error::NoMkfs { program, package })
}

/// Makes a file system on a device or in a file, unless it is to stay raw.
pub fn make(file_system: FileSystem, quota: bool, device: &Path) -> Result<Option<Made>> {
    let Some(program) = find(file_system)? else { return Ok(None) };
    let uuid = uuid()?;
    let output = Command::new(&program)
        .args(arguments(file_system, quota, &uuid))
        .arg(device)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("run", &program))?;
    let shown = arguments(file_system, quota, UUID_WORD).join(" ");
    let command = format!("mkfs.{} {shown} DEVICE", file_system.name());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        return Err(Error::Mkfs { command, output: format!("{}: {said}", output.status) });
    }
    Ok(Some(Made { command, version: version(&program) }))
}

fn uuid() -> Result<String> {
    const SOURCE: &str = "/dev/urandom";
    let mut random = [0; 6];
    File::open(SOURCE).and_then(|mut source| source.read_exact(&mut random)).map_err(Error::io("read", SOURCE))?;
    Ok(random.iter().fold(UUID_START_TEXT.to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

/// `-V` is the one option that all three share; each prints its version first, one of them on standard error.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("-V").stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_start_alike_and_differ() {
        let (one, two) = (uuid().unwrap(), uuid().unwrap());
        assert_ne!(one, two);
        let hex: String = UUID_START.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(one.replace('-', "").starts_with(&hex), "{one}");
        assert_eq!(one.len(), 36);
    }
}
