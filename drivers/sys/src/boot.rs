//! Which run of the machine this is.

use std::{fs, io, sync::OnceLock};

static ID: OnceLock<String> = OnceLock::new();

/// The running kernel's own id, another one after each start of the machine (`/proc/sys/kernel/random/boot_id`, see random(4)).
///
/// # Errors
/// Where /proc is not there, or is not the kernel's.
pub fn id() -> io::Result<&'static str> {
    if let Some(id) = ID.get() {
        return Ok(id);
    }
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Ok(ID.get_or_init(|| id))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_one_and_the_same() {
        let id = super::id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id, super::id().unwrap());
    }
}
