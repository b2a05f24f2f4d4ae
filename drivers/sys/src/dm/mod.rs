//! device-mapper by its ioctls on /dev/mapper/control (linux/dm-ioctl.h), without libdevmapper.
//!
//! udev is told to keep its hands off our devices (`QUIET`): scanning them would hold them open just when they are
//! to go, and clones of one file system share a UUID. So nothing here waits for udev, and nothing needs it:
//! [`node::of`] finds a device's node, or makes one.

mod control;
mod message;
pub mod node;
mod stack;
pub mod thin;

pub use control::{Control, Device, Suspend, Target, TargetStatus, Version};
pub use stack::{names_above, remove_above};

/// Where commands go.
pub const CONTROL: &str = "/dev/mapper/control";

/// Longest name of a device in bytes (`DM_NAME_LEN`, less the NUL).
pub const NAME_LIMIT: usize = 127;

/// Upper half of the word that goes out with every uevent (`DM_COOKIE`): no rules of device-mapper's, of
/// subsystems, for disks or others (libdevmapper.h, `DM_UDEV_DISABLE_*_FLAG`). The lower half names a semaphore to be
/// counted down; there is none, since nobody waits.
const QUIET: u32 = (0x0001 | 0x0002 | 0x0004 | 0x0008) << 16;

/// Bytes in a sector: all lengths in tables are in this unit, whatever the device's own block size.
pub const SECTOR: u64 = 512;
