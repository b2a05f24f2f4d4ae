//! What every driver keeps on disk alike: the root's lock, layer records, counted mounts
