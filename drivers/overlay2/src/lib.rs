//! The overlay2 driver: overlayfs, one directory a layer
