use serde::{Deserialize, Serialize};

use crate::{Options, probe::Kernel};

/// What overlayfs may write into a layer's upper directory beyond files and whiteouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Directories may stand for others, by name.
    pub redirect_dir: bool,
    /// Files may be attributes without data.
    pub metacopy: bool,
}

impl Features {
    /// Those of a new layer. A parent's `metacopy` passes on: without the option the kernel refuses to follow
    /// such files, and with it it makes more of them.
    pub fn of_new_layer(options: &Options, parent: Option<Self>) -> Self {
        let metacopy = options.metacopy || parent.is_some_and(|parent| parent.metacopy);
        Self { redirect_dir: options.redirect_dir || metacopy, metacopy }
    }

    /// True when the upper directory alone tells what the layer changes.
    pub const fn upper_is_complete(self) -> bool {
        !self.redirect_dir && !self.metacopy
    }
}

/// Mount options for a stack whose layers, topmost first, have these features.
///
/// Everything that a module parameter could decide otherwise is said, as far as the kernel knows the option.
/// `index=off`: a leaked mount of the same upper must not make the next one fail.
pub fn mount_options(stack: &[Features], writable: bool, options: &Options, kernel: &Kernel) -> Vec<&'static str> {
    let top = stack.first().copied().unwrap_or_default();
    let any = |has: fn(&Features) -> bool| stack.iter().any(has);
    let mut chosen = Vec::new();
    if kernel.knows_index {
        chosen.push("index=off");
    }
    if kernel.knows_redirect_dir {
        chosen.push(match (writable && top.redirect_dir, any(|layer| layer.redirect_dir)) {
            (true, _) => "redirect_dir=on",
            (false, true) => "redirect_dir=follow",
            // In a user namespace the kernel never follows, and does not let one say so.
            (false, false) if kernel.in_user_namespace => "redirect_dir=off",
            (false, false) => "redirect_dir=nofollow",
        });
    }
    if kernel.knows_metacopy {
        chosen.push(if any(|layer| layer.metacopy) { "metacopy=on" } else { "metacopy=off" });
    }
    if kernel.in_user_namespace {
        chosen.push("userxattr");
    }
    if writable && options.volatile {
        chosen.push("volatile");
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Features = Features { redirect_dir: false, metacopy: false };
    const REDIRECT: Features = Features { redirect_dir: true, metacopy: false };
    const METACOPY: Features = Features { redirect_dir: true, metacopy: true };

    #[test]
    fn a_layer_keeps_what_its_parents_need() {
        let plain = Options::default();
        assert_eq!(Features::of_new_layer(&plain, Some(METACOPY)), METACOPY);
        assert_eq!(Features::of_new_layer(&plain, Some(REDIRECT)), PLAIN);
        assert!(PLAIN.upper_is_complete() && !REDIRECT.upper_is_complete());
    }

    #[test]
    fn every_choice_is_said() {
        let kernel = Kernel { knows_index: true, knows_redirect_dir: true, knows_metacopy: true, ..Kernel::default() };
        let choose = |stack: &[Features], writable| mount_options(stack, writable, &Options::default(), &kernel);
        assert_eq!(choose(&[PLAIN, PLAIN], true), ["index=off", "redirect_dir=nofollow", "metacopy=off"]);
        assert_eq!(choose(&[PLAIN, REDIRECT], true), ["index=off", "redirect_dir=follow", "metacopy=off"]);
        assert_eq!(choose(&[METACOPY, PLAIN], true), ["index=off", "redirect_dir=on", "metacopy=on"]);
        assert_eq!(choose(&[REDIRECT, PLAIN], false), ["index=off", "redirect_dir=follow", "metacopy=off"]);
    }
}
