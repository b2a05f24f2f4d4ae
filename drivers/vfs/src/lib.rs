//! The vfs driver: a full copy per layer
