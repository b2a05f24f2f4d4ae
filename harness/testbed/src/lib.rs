//! Where a driver's data lives during a measurement: a loop device or a directory
