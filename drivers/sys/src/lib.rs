//! The kernel's edge: mounts, loop devices, xattrs, quotas, *at calls
