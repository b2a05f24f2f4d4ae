//! The driver's own tests, on a btrfs of their own: loop devices, so they need root.

mod changes;
mod generations;
mod ioctls;
mod nested;
mod protection;
mod space;
mod support;
