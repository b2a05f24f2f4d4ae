//! A stopped call in words.

use std::{fs, os::unix::fs::FileExt};

use nix::unistd::Pid;

use super::{Known, Stopped};

/// The longest string that is shown.
const LONGEST: usize = 4096;

pub fn describe(thread: Pid, known: &Known, stopped: &Stopped) -> String {
    let mut words = Vec::new();
    let mut directory = None;
    for (kind, &value) in known.arguments.chars().zip(&stopped.arguments) {
        match kind {
            'd' => directory = Some(descriptor(thread, value)),
            'p' => words.push(path(directory.take(), string(thread, value))),
            'f' => words.push(descriptor(thread, value)),
            'o' => words.push(format!("{:#o}", value & 0o177_777)),
            'n' if value > 0xffff => words.push(format!("{value:#x}")),
            'n' => words.push(value.to_string()),
            _ => {}
        }
    }
    format!("{}({})", known.name, words.join(", "))
}

/// A path below the directory it is relative to; without a path the descriptor alone is meant (utimensat(2)).
fn path(directory: Option<String>, path: Option<String>) -> String {
    match (directory.filter(|directory| !directory.is_empty()), path) {
        (Some(directory), Some(path)) if !path.is_empty() && !path.starts_with('/') => format!("{directory}/{path}"),
        (Some(directory), None) => directory,
        (Some(directory), Some(path)) if path.is_empty() => directory,
        (_, path) => path.unwrap_or_else(|| "NULL".to_owned()),
    }
}

/// The file that a descriptor is open on; nothing for AT_FDCWD.
fn descriptor(thread: Pid, value: u64) -> String {
    let number = value as u32 as i32;
    if number == libc::AT_FDCWD {
        return String::new();
    }
    fs::read_link(format!("/proc/{thread}/fd/{number}"))
        .map_or_else(|_| format!("descriptor {number}"), |path| path.to_string_lossy().into_owned())
}

/// A number of eight bytes in the process's memory.
pub fn number(thread: Pid, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    fs::File::open(format!("/proc/{thread}/mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

fn string(thread: Pid, address: u64) -> Option<String> {
    let memory = fs::File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = Vec::new();
    let mut piece = [0; 128];
    while bytes.len() < LONGEST {
        // Pieces end where pages may end, so that the string's last page is read though the next is not there.
        let at = address.checked_add(bytes.len() as u64)?;
        let room = piece.len() - (at % piece.len() as u64) as usize;
        let read = memory.read_at(&mut piece[..room], at).ok().filter(|&read| read > 0)?;
        match piece[..read].iter().position(|&byte| byte == 0) {
            Some(end) => {
                bytes.extend(&piece[..end]);
                break;
            }
            None => bytes.extend(&piece[..read]),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
