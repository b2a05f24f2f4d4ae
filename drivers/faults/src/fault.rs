use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use storage_sys::trace::{Action, Call, Class};

use crate::Error;

/// What goes wrong, at one step of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The process is killed before the call.
    Kill,
    /// The process is killed when the call has written half of its bytes.
    Torn,
    /// The disk is full from this call on, until the operation has returned.
    Enospc,
    /// This one call finds the disk full.
    EnospcOnce,
    /// This one sync fails, with EIO.
    Eio,
    /// The disk is really full: a small one, filled to different levels.
    Full,
    /// The power goes: what the disk holds at this moment is all that is left.
    Power,
    /// The same, where somebody else's fsync(2) has brought the names of this moment to the disk, and not the content.
    PowerCommit,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Kill, Self::Torn, Self::Enospc, Self::EnospcOnce, Self::Eio, Self::Full, Self::Power, Self::PowerCommit];

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Torn => "torn",
            Self::Enospc => "enospc",
            Self::EnospcOnce => "enospc-once",
            Self::Eio => "eio",
            Self::Full => "full",
            Self::Power => "power",
            Self::PowerCommit => "power-commit",
        }
    }

    /// Whether `call` is a step at which this can happen.
    #[must_use]
    pub fn concerns(self, call: &Call) -> bool {
        match self {
            Self::Kill => true,
            Self::Torn => call.can_be_torn(),
            // Taking names away needs room where the file system copies on write, and there only.
            Self::EnospcOnce => call.class() != Class::Unmount,
            Self::Enospc => !matches!(call.class(), Class::Unmount | Class::Remove),
            Self::Eio => call.class() == Class::Sync,
            // These have steps of another kind.
            Self::Full | Self::Power | Self::PowerCommit => false,
        }
    }

    /// What happens to the step that it hits.
    pub(crate) const fn action(self) -> Action {
        match self {
            Self::Kill => Action::Kill,
            Self::Torn => Action::Tear,
            Self::Enospc | Self::EnospcOnce => Action::Refuse(libc::ENOSPC),
            Self::Eio => Action::Refuse(libc::EIO),
            Self::Full | Self::Power | Self::PowerCommit => Action::Proceed,
        }
    }

    /// Whether it goes on after the step that it hits.
    pub(crate) const fn lasts(self) -> bool {
        matches!(self, Self::Enospc)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| Error::Unknown {
            what: "fault",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
