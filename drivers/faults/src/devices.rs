//! Devices that stand on files of a trial.

use std::path::{Path, PathBuf};

use storage_sys::{dm, loopdev};

/// The loop devices on files below `path`.
pub fn loops_below(path: &Path) -> Vec<PathBuf> {
    let attached = loopdev::attached().unwrap_or_default();
    attached.into_iter().filter(|(_, backing)| backing.starts_with(path)).map(|(device, _)| device).collect()
}

/// What a driver that is shut down has left: its loop devices, and what stands on them.
pub fn left_below(root: &Path) -> Vec<String> {
    let loops = match loopdev::attached() {
        Ok(loops) => loops,
        Err(error) => return vec![format!("the loop devices cannot be read: {error}")],
    };
    let mut left = Vec::new();
    for (device, backing) in loops.iter().filter(|(_, backing)| backing.starts_with(root)) {
        left.push(format!("{} stays on {}", backing.display(), device.display()));
        let above = dm::names_above(kernel_name(device)).unwrap_or_default();
        left.extend(above.into_iter().map(|name| format!("device {name} stays on {}", device.display())));
    }
    left
}

/// Takes away what stands on these devices; they themselves go with their last user.
pub fn take_away(loops: &[PathBuf]) {
    for device in loops {
        if let Err(error) = dm::remove_above(kernel_name(device)) {
            tracing::warn!(device = %device.display(), %error, "devices that a trial left on it stay");
        }
    }
}

/// The thin pool that stands on files below `root`, by its name.
pub fn pool_below(root: &Path) -> Option<String> {
    let above = loops_below(root).into_iter().filter_map(|device| dm::names_above(kernel_name(&device)).ok()).flatten();
    let control = dm::Control::open().ok()?;
    above.into_iter().find(|name| {
        let table = control.table(name).unwrap_or_default();
        table.iter().any(|line| line.kind == "thin-pool")
    })
}

fn kernel_name(device: &Path) -> &str {
    device.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
