//! What a crash left.

use std::path::Path;

use crate::{Result, bridge::Place, link::Links, state::Guard};

/// Something that was left behind and is removed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Such as "network interface".
    pub kind: &'static str,
    /// Its name.
    pub what: String,
}

/// Removes what containers that are gone have left on the bridge that `dir` keeps: addresses, published ports and
/// interfaces; and the bridge with its rules when nobody is on it. `alive` says whether the container of this id lives.
///
/// # Errors
/// What the kernel refuses.
pub fn gc(dir: &Path, alive: &dyn Fn(&str) -> bool) -> Result<Vec<Left>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let guard = Guard::take(dir)?;
    let Some(state) = guard.load()? else { return Ok(Vec::new()) };
    let mut place = Place { links: Links::open()?, state, guard };
    let mut left = Vec::new();
    let links = place.links.all()?;
    let is_there = |name: &str| links.iter().any(|link| link.name == name);
    let gone = place.forget(|lease| !alive(&lease.container) || !is_there(&lease.interface))?;
    for lease in gone {
        left.push(Left {
            kind: "network address",
            what: format!("{} of container {}", lease.address, lease.container),
        });
    }
    let bridge = place.bridge_index()?;
    let is_leased = |name: &str| place.state.leases.iter().any(|lease| lease.interface == name);
    for link in links.iter().filter(|link| bridge.is_some() && link.master == bridge && !is_leased(&link.name)) {
        // Those whose lease has just gone are gone, too.
        if place.links.find(&link.name)?.is_some() {
            place.links.delete(&link.name)?;
            left.push(Left { kind: "network interface", what: link.name.clone() });
        }
    }
    place.remove_bridge_if_unused()?;
    if bridge.is_some() && place.state.leases.is_empty() {
        left.push(Left { kind: "network bridge", what: place.state.bridge.clone() });
    }
    Ok(left)
}
