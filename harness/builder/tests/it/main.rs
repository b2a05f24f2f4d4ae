//! Whole builds. The tests have a `main` of their own, since a container's init is this program again.

mod buildah;
mod commands;
mod contexts;
mod copying;
mod corpus;
mod images;
mod place;
mod remote;
mod reproducible;
mod scopes;
mod server;
mod stages;

use libtest_mimic::{Arguments, Trial};

fn main() {
    harness_runtime::init_or_role_if_asked(&[]);
    let arguments = Arguments::from_args();
    let tests = [
        commands::tests(),
        contexts::tests(),
        copying::tests(),
        corpus::tests(),
        images::tests(),
        remote::tests(),
        reproducible::tests(),
        scopes::tests(),
        stages::tests(),
    ];
    let trials = tests.into_iter().flatten().map(|(name, test)| {
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
