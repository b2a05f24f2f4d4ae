//! What an ext4's superblock tells of its last unmount.
//!
//! When the journal cannot be written, the kernel gives it up: what was to be written is lost, and a later syncfs(2) succeeds, since
//! nothing is left to be committed. The superblock keeps what happened: only an unmount with a working journal takes the mark away that
//! there is something to be recovered (kernel: Documentation/filesystems/ext4/super.rst, `s_state` and `s_feature_incompat`).

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rustix::fs::{Advice, fadvise};

const MAGIC: [u8; 2] = 0xef53_u16.to_le_bytes();
/// `s_state`: the kernel has found an error.
const ERRORS: u8 = 2;
/// `s_feature_incompat`: the journal has to be replayed.
const NEEDS_RECOVERY: u8 = 4;

/// Whether the file system on `node`, which is not mounted any more, got all that was written to it.
pub fn was_unmounted_whole(node: &Path) -> io::Result<bool> {
    let device = File::open(node)?;
    // What follows is nobody's business.
    fadvise(&device, 0, None, Advice::Random)?;
    let mut superblock = [0; 1024];
    device.read_exact_at(&mut superblock, 1024)?;
    if superblock[56..58] != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has no ext4 superblock"));
    }
    Ok(superblock[58] & ERRORS == 0 && superblock[96] & NEEDS_RECOVERY == 0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_superblock_tells_what_the_tools_write_into_it() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let run = |program: &str, args: &[&str]| {
            let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
            let mut command = Command::new(program);
            command.args(args).arg(&image).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().unwrap().success(), "{program} {args:?}");
        };
        assert!(was_unmounted_whole(&image).is_err());
        run("mkfs.ext4", &["-q"]);
        assert!(was_unmounted_whole(&image).unwrap());
        for mark in ["feature needs_recovery", "set_super_value state 3"] {
            run("mkfs.ext4", &["-q", "-F"]);
            run("debugfs", &["-w", "-R", mark]);
            assert!(!was_unmounted_whole(&image).unwrap(), "{mark}");
        }
    }
}
