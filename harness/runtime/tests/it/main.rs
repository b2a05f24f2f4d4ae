//! Tests with real containers. They have their own `main`, since a container's init is this program again.

mod engines;
mod execs;
mod external;
mod fields;
mod filesystem;
mod hostile;
mod identity;
mod isolation;
mod limits;
mod prepare;
mod processes;
mod roles;
mod rootfs;
mod runc;
mod running;
mod specification;
mod streams;
mod terminal;
mod users;
mod waiting;

use libtest_mimic::{Arguments, Trial};

fn main() {
    harness_runtime::init_or_role_if_asked(&[roles::SHOUT]);
    roles::play_if_asked();
    running::start_and_leave_if_asked();
    let arguments = Arguments::from_args();
    let tests = [
        execs::tests(),
        external::tests(),
        fields::tests(),
        filesystem::tests(),
        hostile::tests(),
        identity::tests(),
        isolation::tests(),
        limits::tests(),
        prepare::tests(),
        processes::tests(),
        roles::tests(),
        runc::tests(),
        running::tests(),
        specification::tests(),
        streams::tests(),
        terminal::tests(),
        users::tests(),
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
