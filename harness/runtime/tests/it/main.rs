//! Tests with real containers. They have their own `main`, since a container's init is this program again.

mod rootfs;
mod streams;

use libtest_mimic::{Arguments, Trial};

fn main() {
    harness_runtime::init_if_asked();
    let arguments = Arguments::from_args();
    let tests = [streams::tests()].concat();
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// A test's name and body.
type Test = (&'static str, fn());

/// A list of tests, by their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The tests of this module.
        pub fn tests() -> Vec<$crate::Test> {
            vec![$((stringify!($name), $name as fn())),*]
        }
    };
}
use tests;
