//! Base images that need no network.
