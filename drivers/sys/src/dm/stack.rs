//! Devices that stand on others.

use std::{fs, io, path::Path};

use super::{Control, node};

/// Removes all device-mapper devices that stand, directly or not, on the block device with this kernel name, such as
/// `loop3`; the names of those that it removed.
///
/// # Errors
/// `EBUSY` when one of them is in use.
pub fn remove_above(kernel_name: &str) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let above = above(kernel_name)?;
    if !above.is_empty() {
        let control = Control::open()?;
        remove(&control, &above, &mut removed)?;
    }
    Ok(removed)
}

/// The names of all device-mapper devices that stand, directly or not, on the block device with this kernel name.
///
/// # Errors
/// Those of reading sysfs.
pub fn names_above(kernel_name: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for device in above(kernel_name)? {
        names.extend(names_above(&device)?);
        names.extend(name_of(&device));
    }
    Ok(names)
}

fn name_of(device: &str) -> Option<String> {
    let name = fs::read_to_string(Path::new("/sys/class/block").join(device).join("dm/name")).ok()?;
    Some(name.trim_end().to_owned())
}

fn remove(control: &Control, devices: &[String], removed: &mut Vec<String>) -> io::Result<()> {
    for device in devices {
        remove(control, &above(device)?, removed)?;
        // Gone already, where it stands on two of these.
        let Some(name) = name_of(device) else { continue };
        control.remove(&name)?;
        node::forget(&name)?;
        removed.push(name);
    }
    Ok(())
}

fn above(kernel_name: &str) -> io::Result<Vec<String>> {
    match fs::read_dir(Path::new("/sys/class/block").join(kernel_name).join("holders")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_on_what_is_not_there() {
        assert_eq!(remove_above("no-such-device").unwrap(), Vec::<String>::new());
    }
}
