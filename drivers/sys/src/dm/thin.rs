//! What thin pools and thin devices say of themselves (kernel: Documentation/admin-guide/device-mapper/
//! thin-provisioning.rst, "Status").

use std::{fmt, str::FromStr};

/// Used and all blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Allocated.
    pub used: u64,
    /// There are.
    pub total: u64,
}

impl Blocks {
    /// Not allocated.
    #[must_use]
    pub const fn free(self) -> u64 {
        self.total.saturating_sub(self.used)
    }

    /// Whether at least this many of a hundred are free.
    #[must_use]
    pub const fn has_free_percent(self, percent: u64) -> bool {
        self.free().saturating_mul(100) >= self.total.saturating_mul(percent)
    }
}

/// What a pool still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    ReadWrite,
    /// It changes nothing, not even its metadata.
    ReadOnly,
    /// It has no data blocks left; growing it brings it back.
    OutOfDataSpace,
}

/// A pool at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// The user's number, to tell whether pool and record fit.
    pub transaction: u64,
    /// Blocks of 4096 bytes.
    pub metadata: Blocks,
    /// Blocks of the pool's own size.
    pub data: Blocks,
    /// Where the metadata snapshot starts, if one is held.
    pub held_root: Option<u64>,
    /// What it still does.
    pub mode: Mode,
    /// Discards reach the data device.
    pub discard_passdown: bool,
    /// What finds no space fails, instead of waiting.
    pub error_if_no_space: bool,
    /// The metadata must be checked before it can change again.
    pub needs_check: bool,
}

/// The status line of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// It works, at least for reading.
    Works(PoolStatus),
    /// It failed and must be repaired.
    Fail,
    /// It could not say, being suspended or broken.
    Error,
}

/// The status line of a thin device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thin {
    /// It works.
    Works {
        /// Sectors that have a block of the pool, shared ones too.
        mapped: u64,
        /// The last of them.
        highest: Option<u64>,
    },
    /// Its pool failed.
    Fail,
    /// It could not say.
    Error,
}

/// A status line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected status {line:?}: {why}")]
pub struct Unexpected {
    line: String,
    why: &'static str,
}

fn unexpected(line: &str, why: &'static str) -> Unexpected {
    Unexpected { line: line.to_owned(), why }
}

impl FromStr for Pool {
    type Err = Unexpected;

    fn from_str(line: &str) -> Result<Self, Unexpected> {
        let mut words = line.split_ascii_whitespace();
        let mut next = |why| words.next().ok_or_else(|| unexpected(line, why));
        let number = |word: &str| word.parse().map_err(|_| unexpected(line, "a number was expected"));
        let transaction = match next("it is empty")? {
            "Fail" => return Ok(Self::Fail),
            "Error" => return Ok(Self::Error),
            word => number(word)?,
        };
        let blocks = |word: &str| -> Result<Blocks, Unexpected> {
            let (used, total) = word.split_once('/').ok_or_else(|| unexpected(line, "used/total was expected"))?;
            Ok(Blocks { used: number(used)?, total: number(total)? })
        };
        let mut status = PoolStatus {
            transaction,
            metadata: blocks(next("metadata blocks are missing")?)?,
            data: blocks(next("data blocks are missing")?)?,
            held_root: match next("the held root is missing")? {
                "-" => None,
                root => Some(number(root)?),
            },
            mode: match next("the mode is missing")? {
                "rw" => Mode::ReadWrite,
                "ro" => Mode::ReadOnly,
                "out_of_data_space" => Mode::OutOfDataSpace,
                _ => return Err(unexpected(line, "unknown mode")),
            },
            discard_passdown: next("the way of discards is missing")? == "discard_passdown",
            error_if_no_space: false,
            needs_check: false,
        };
        // Younger fields: Linux 3.15, 4.1, 4.19.
        for word in words {
            status.error_if_no_space |= word == "error_if_no_space";
            status.needs_check |= word == "needs_check";
        }
        Ok(Self::Works(status))
    }
}

impl FromStr for Thin {
    type Err = Unexpected;

    fn from_str(line: &str) -> Result<Self, Unexpected> {
        let mut words = line.split_ascii_whitespace();
        let number = |word: &str| word.parse().map_err(|_| unexpected(line, "a number was expected"));
        let mapped = match words.next() {
            None | Some("-") => return Err(unexpected(line, "it says nothing")),
            Some("Fail") => return Ok(Self::Fail),
            Some("Error") => return Ok(Self::Error),
            Some(word) => number(word)?,
        };
        let highest = match words.next() {
            None => return Err(unexpected(line, "the highest sector is missing")),
            Some("-") => None,
            Some(word) => Some(number(word)?),
        };
        Ok(Self::Works { mapped, highest })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadWrite => "rw",
            Self::ReadOnly => "ro",
            Self::OutOfDataSpace => "out_of_data_space",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_every_kernel_are_understood() {
        let line = "7 141/16384 1031/524288 - rw discard_passdown queue_if_no_space - 1024";
        let expected = PoolStatus {
            transaction: 7,
            metadata: Blocks { used: 141, total: 16384 },
            data: Blocks { used: 1031, total: 524_288 },
            held_root: None,
            mode: Mode::ReadWrite,
            discard_passdown: true,
            error_if_no_space: false,
            needs_check: false,
        };
        assert_eq!(line.parse(), Ok(Pool::Works(expected)));
        let old = "7 141/16384 1031/524288 - rw discard_passdown";
        assert_eq!(old.parse(), Ok(Pool::Works(expected)));
        let full = "7 141/16384 2048/2048 93 out_of_data_space no_discard_passdown error_if_no_space needs_check 256";
        let data = Blocks { used: 2048, total: 2048 };
        let expected = PoolStatus {
            data,
            held_root: Some(93),
            mode: Mode::OutOfDataSpace,
            discard_passdown: false,
            error_if_no_space: true,
            needs_check: true,
            ..expected
        };
        assert_eq!(full.parse(), Ok(Pool::Works(expected)));
        assert!(!data.has_free_percent(1));
        assert_eq!("Fail".parse(), Ok(Pool::Fail));
        assert_eq!("Error".parse(), Ok(Pool::Error));
    }

    #[test]
    fn thin_devices_are_understood() {
        assert_eq!("0 -".parse(), Ok(Thin::Works { mapped: 0, highest: None }));
        assert_eq!("24576 2097151".parse(), Ok(Thin::Works { mapped: 24576, highest: Some(2_097_151) }));
        assert_eq!("Fail".parse(), Ok(Thin::Fail));
        assert_eq!("Error".parse(), Ok(Thin::Error));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for line in [
            "",
            "x 1/2 3/4 - rw discard_passdown",
            "1 1-2 3/4 - rw discard_passdown",
            "1 1/2 3/x - rw discard_passdown",
            "1 1/2 3/4 y rw discard_passdown",
            "1 1/2 3/4 - rx discard_passdown",
            "1 1/2 3/4 - rw",
            "1 1/2",
            "-1 1/2 3/4 - rw discard_passdown",
        ] {
            assert!(line.parse::<Pool>().is_err(), "{line:?} was taken");
        }
        for line in ["", "-", "12", "x -", "12 y", "99999999999999999999 -"] {
            assert!(line.parse::<Thin>().is_err(), "{line:?} was taken");
        }
    }
}
