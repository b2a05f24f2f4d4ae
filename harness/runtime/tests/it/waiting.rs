//! Waiting for what a container does in its own time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Waits until `come` is true; a minute without it is a failure that says `what`.
pub fn until(what: &str, mut come: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !come() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
