use std::{fmt, fs::OpenOptions, io, str::FromStr, time::Duration};

use crate::{Error, Result};

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accel {
    /// KVM where a guest comes up with it within a deadline, else TCG. There are machines where `/dev/kvm` opens and guests hang
    /// (nested virtualisation), which only booting one tells.
    #[default]
    Auto,
    /// The processor itself.
    Kvm,
    /// QEMU's emulation: everywhere, several times slower.
    Tcg,
}

/// How long a guest is waited for. With KVM it comes up in about a second.
const KVM_PROBE: Duration = Duration::from_secs(8);
const KVM: Duration = Duration::from_secs(60);
const TCG: Duration = Duration::from_secs(180);

/// One way to start QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub name: &'static str,
    pub accel: &'static str,
    pub cpu: &'static str,
    pub deadline: Duration,
}

impl Attempt {
    const fn kvm(deadline: Duration) -> Self {
        Self { name: "kvm", accel: "kvm", cpu: "host", deadline }
    }

    /// Five-level page tables would only be one more level to emulate.
    const TCG: Self = Self { name: "tcg", accel: "tcg,thread=multi", cpu: "max,la57=off", deadline: TCG };

    /// All processors in one thread: slower, and the emulation cannot come between the halves of what one of them does.
    const TCG_CAREFUL: Self = Self { accel: "tcg,thread=single", ..Self::TCG };

    /// A kernel that patches its own code while it boots on several processors now and then stumbles over an
    /// instruction that is half patched, and panics: it is booted again, and at last carefully.
    const EMULATED: [Self; 3] = [Self::TCG, Self::TCG, Self::TCG_CAREFUL];
}

impl Accel {
    /// What to try, in this order.
    pub(crate) fn attempts(self) -> Result<Vec<Attempt>> {
        self.with(OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop))
    }

    /// The same, given what opening `/dev/kvm` said.
    fn with(self, kvm: io::Result<()>) -> Result<Vec<Attempt>> {
        match (self, kvm) {
            (Self::Kvm, kvm) => {
                kvm.map_err(|source| Error::NoKvm { source })?;
                Ok(vec![Attempt::kvm(KVM)])
            }
            (Self::Auto, Ok(())) => Ok([Attempt::kvm(KVM_PROBE)].into_iter().chain(Attempt::EMULATED).collect()),
            (Self::Tcg, _) | (Self::Auto, Err(_)) => Ok(Attempt::EMULATED.to_vec()),
        }
    }
}

impl FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err("there are auto, kvm and tcg".to_owned()),
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_tried_where_it_opens_and_emulation_comes_after() {
        let missing = || Err(io::Error::from(io::ErrorKind::NotFound));
        let names = |accel: Accel, kvm| {
            let attempts = accel.with(kvm).unwrap();
            attempts.iter().map(|attempt| attempt.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Accel::Auto, Ok(())), ["kvm", "tcg", "tcg", "tcg"]);
        assert_eq!(names(Accel::Auto, missing()), ["tcg", "tcg", "tcg"]);
        assert_eq!(names(Accel::Tcg, Ok(())), ["tcg", "tcg", "tcg"]);
        assert_eq!(names(Accel::Kvm, Ok(())), ["kvm"]);
        assert!(matches!(Accel::Kvm.with(missing()), Err(Error::NoKvm { .. })));
        // Somebody waits for the attempt.
        assert!(Accel::Auto.with(Ok(())).unwrap()[0].deadline < Duration::from_secs(10));
    }
}
