//! The cases, by where they come from or what they are about.

mod concurrency;
mod depth;
mod echo;
mod fidelity;
mod gaps;
mod graphtest;
mod held;
mod hostile;
mod inside;
mod lifecycle;
mod names;
mod snapshotter;
mod tars;
mod transfer;

use std::sync::LazyLock;

use crate::Case;

/// All cases, group by group.
#[must_use]
pub fn cases() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let groups = [
            graphtest::CASES,
            snapshotter::CASES,
            gaps::CASES,
            echo::CASES,
            fidelity::CASES,
            names::CASES,
            inside::CASES,
            transfer::CASES,
            hostile::CASES,
            lifecycle::CASES,
            held::CASES,
            concurrency::CASES,
            depth::CASES,
        ];
        groups.concat()
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let names: BTreeSet<String> = cases().iter().map(Case::full_name).collect();
        assert_eq!(names.len(), cases().len());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':')), "{name}");
        }
    }
}
