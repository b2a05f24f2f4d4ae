use serde::{Deserialize, Serialize};

use crate::probe::Kernel;

/// What overlayfs may write into a layer's upper directory beyond files and whiteouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Directories may stand for others, by name.
    pub redirect_dir: bool,
    /// Files may be attributes without data.
    pub metacopy: bool,
}

impl Features {
    /// Those that a new layer's mounts will have.
    ///
    /// A parent's `metacopy` passes on: without the option the kernel refuses to follow such files, and with it it
    /// makes more of them.
    pub fn of_new_layer(self, parent: Option<Self>) -> Self {
        let metacopy = self.metacopy || parent.is_some_and(|parent| parent.metacopy);
        Self { redirect_dir: self.redirect_dir || metacopy, metacopy }
    }

    /// True when upper directories alone tell what layers change.
    pub const fn are_none(self) -> bool {
        !self.redirect_dir && !self.metacopy
    }
}

/// Which mount options the overlayfs of this kernel knows; an unknown one would fail the mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub index: bool,
    pub redirect_dir: bool,
    pub metacopy: bool,
    /// Since Linux 5.10.
    pub volatile: bool,
}

impl Known {
    pub const ALL: Self = Self { index: true, redirect_dir: true, metacopy: true, volatile: true };
}

/// Mount options for a stack whose layers, topmost first, have these features.
///
/// Everything that a module parameter could decide otherwise is said, as far as the kernel knows the option.
/// `index=off`: a leaked mount of the same upper must not make the next one fail.
pub fn mount_options(stack: &[Features], writable: bool, volatile: bool, kernel: &Kernel) -> Vec<&'static str> {
    let makes_redirects = writable && stack.first().is_some_and(|top| top.redirect_dir);
    let has_redirects = stack.iter().any(|layer| layer.redirect_dir);
    let has_metacopies = stack.iter().any(|layer| layer.metacopy);
    let mut chosen = Vec::new();
    if kernel.known.index {
        chosen.push("index=off");
    }
    if kernel.known.redirect_dir {
        chosen.push(match (makes_redirects, has_redirects) {
            (true, _) => "redirect_dir=on",
            // The kernel follows data redirects only where it may also make them.
            (false, true) if has_metacopies => "redirect_dir=on",
            (false, true) => "redirect_dir=follow",
            (false, false) => "redirect_dir=nofollow",
        });
    }
    if kernel.known.metacopy {
        chosen.push(if has_metacopies { "metacopy=on" } else { "metacopy=off" });
    }
    if kernel.in_user_namespace {
        chosen.push("userxattr");
    }
    if writable && volatile && kernel.known.volatile {
        chosen.push("volatile");
    }
    chosen
}

/// The longest set of options that [`mount_options`] chooses.
pub const LONGEST: [&str; 5] = ["index=off", "redirect_dir=nofollow", "metacopy=off", "userxattr", "volatile"];

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Features = Features { redirect_dir: false, metacopy: false };
    const REDIRECT: Features = Features { redirect_dir: true, metacopy: false };
    const METACOPY: Features = Features { redirect_dir: true, metacopy: true };

    #[test]
    fn a_layer_keeps_what_its_parents_need() {
        assert_eq!(PLAIN.of_new_layer(Some(METACOPY)), METACOPY);
        assert_eq!(PLAIN.of_new_layer(Some(REDIRECT)), PLAIN);
        assert_eq!(METACOPY.of_new_layer(None), METACOPY);
        assert!(PLAIN.are_none() && !REDIRECT.are_none());
    }

    #[test]
    fn every_choice_is_said() {
        let mut kernel = Kernel { known: Known::ALL, ..Kernel::default() };
        let choose =
            |kernel: &Kernel, stack: &[Features], writable| mount_options(stack, writable, false, kernel).join(",");
        assert_eq!(choose(&kernel, &[PLAIN, PLAIN], true), "index=off,redirect_dir=nofollow,metacopy=off");
        assert_eq!(choose(&kernel, &[PLAIN, REDIRECT], true), "index=off,redirect_dir=follow,metacopy=off");
        assert_eq!(choose(&kernel, &[METACOPY, PLAIN], true), "index=off,redirect_dir=on,metacopy=on");
        assert_eq!(choose(&kernel, &[METACOPY, PLAIN], false), "index=off,redirect_dir=on,metacopy=on");
        assert_eq!(choose(&kernel, &[REDIRECT, PLAIN], false), "index=off,redirect_dir=follow,metacopy=off");
        kernel.known.metacopy = false;
        assert_eq!(choose(&kernel, &[PLAIN], false), "index=off,redirect_dir=nofollow");
    }

    #[test]
    fn no_set_of_options_is_longer_than_the_one_that_is_reckoned_with() {
        let kernel = Kernel { known: Known::ALL, in_user_namespace: true, ..Kernel::default() };
        let length = |stack: &[Features]| mount_options(stack, true, true, &kernel).join(",").len();
        let longest = [PLAIN, REDIRECT, METACOPY].map(|top| length(&[top])).into_iter().max();
        assert_eq!(longest, Some(LONGEST.join(",").len()));
    }
}
