//! Loop devices: a file as a block device (loop(4)).
#![allow(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use rustix::ioctl::{self, IntegerSetter, NoArg, Setter};

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: ioctl::Opcode = 0x4C0A;
const LOOP_CLR_FD: ioctl::Opcode = 0x4C01;
const LOOP_SET_CAPACITY: ioctl::Opcode = 0x4C07;
const LOOP_SET_DIRECT_IO: ioctl::Opcode = 0x4C08;

const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_info64` (linux/loop.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` (linux/loop.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232);
const _: () = assert!(size_of::<LoopConfig>() == 304);

/// A file that is attached to a loop device; detached when this is dropped and nobody has it mounted.
#[derive(Debug)]
pub struct LoopDevice {
    device: File,
    path: PathBuf,
    direct_io: bool,
}

impl LoopDevice {
    /// Attaches a file to the first free device.
    ///
    /// The device goes by itself with its last user (`AUTOCLEAR`), so that a killed process leaves none. Direct I/O, which
    /// keeps the file's pages out of the cache a second time, is used where the file system below can.
    ///
    /// # Errors
    /// `ENOENT` without /dev/loop-control; `EPERM` without root.
    pub fn attach(file: &Path) -> io::Result<Self> {
        let backing = OpenOptions::new().read(true).write(true).open(file)?;
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        // Between asking for a free device and taking it another process may have taken it.
        for _ in 0..100 {
            let path = PathBuf::from(format!("/dev/loop{}", free_number(&control)?));
            match configure(&path, &backing) {
                Ok((device, direct_io)) => return Ok(Self { device, path, direct_io }),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// Such as `/dev/loop3`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file's own page cache is passed by.
    #[must_use]
    pub const fn direct_io(&self) -> bool {
        self.direct_io
    }

    /// Takes the file's new size over.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn grow(&self) -> io::Result<()> {
        // SAFETY: LOOP_SET_CAPACITY takes no argument and touches no memory of ours.
        Ok(unsafe { ioctl::ioctl(&self.device, NoArg::<LOOP_SET_CAPACITY>::new()) }?)
    }

    /// Detaches the file, or as soon as its last user is gone.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn detach(self) -> io::Result<()> {
        // SAFETY: LOOP_CLR_FD takes no argument and touches no memory of ours.
        match unsafe { ioctl::ioctl(&self.device, NoArg::<LOOP_CLR_FD>::new()) } {
            // AUTOCLEAR was quicker.
            Ok(()) | Err(rustix::io::Errno::NXIO) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn free_number(control: &File) -> io::Result<i32> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument; its answer is the return value.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

fn configure(path: &Path, backing: &File) -> io::Result<(File, bool)> {
    let device = OpenOptions::new().read(true).write(true).open(path)?;
    let info = LoopInfo64 {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let fd = backing.as_raw_fd() as u32;
    let config = LoopConfig { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`, which `LoopConfig` mirrors (its size is asserted); the
    // descriptor in it is open for the call, and the kernel takes a reference of its own.
    unsafe { ioctl::ioctl(&device, Setter::<LOOP_CONFIGURE, LoopConfig>::new(config)) }?;
    // SAFETY: LOOP_SET_DIRECT_IO takes an integer, no pointer.
    let direct = unsafe { ioctl::ioctl(&device, IntegerSetter::<LOOP_SET_DIRECT_IO>::new_usize(1)) };
    Ok((device, direct.is_ok()))
}

/// Files attached to loop devices now, with their devices.
///
/// # Errors
/// When /sys is not there.
pub fn attached() -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/block")? {
        let entry = entry?;
        let Ok(backing) = std::fs::read_to_string(entry.path().join("loop/backing_file")) else { continue };
        found.push((Path::new("/dev").join(entry.file_name()), PathBuf::from(backing.trim_end_matches('\n'))));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_a_file_becomes_a_device_and_goes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        let device = LoopDevice::attach(file.path()).unwrap();
        let path = device.path().to_owned();
        let listed = attached().unwrap();
        assert!(listed.iter().any(|(device, backing)| *device == path && backing == file.path()), "{listed:?}");
        let output = std::process::Command::new("losetup").arg("--noheadings").arg(&path).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        assert!(line.contains(file.path().to_str().unwrap()), "{line}");
        file.as_file().set_len(16 << 20).unwrap();
        device.grow().unwrap();
        let sectors = std::fs::read_to_string(Path::new("/sys/block").join(path.file_name().unwrap()).join("size"));
        assert_eq!(sectors.unwrap().trim(), "32768");
        device.detach().unwrap();
        assert!(!attached().unwrap().iter().any(|(_, backing)| backing == file.path()));
    }
}
