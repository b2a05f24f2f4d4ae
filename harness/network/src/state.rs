//! What a bridge's directory remembers: its name, its subnet, and who has which address.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use storage_root::{Durability, write_atomically};

use crate::{Error, PortMapping, Result, Subnet, link::Mac};

const FILE: &str = "network.json";

/// The record. None of what it tells of outlives the machine, so it is never synced; one that a loss of power has emptied
/// is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Of the bridge, by which it is known again.
    pub mac: Mac,
    pub bridge: String,
    pub subnet: Subnet,
    /// Of the way out, where it is less than usual.
    pub mtu: Option<u32>,
    pub leases: Vec<Lease>,
}

/// An address that a container has. The kernel removes the interface with the container's network namespace: while it is
/// there, the lease is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lease {
    pub container: String,
    pub address: Ipv4Addr,
    /// The host's end.
    pub interface: String,
    pub ports: Vec<PortMapping>,
}

impl State {
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.nth(1)
    }

    /// The first address that nobody has.
    pub fn free_address(&self) -> Option<Ipv4Addr> {
        let mut used: Vec<u32> = self.leases.iter().map(|lease| self.subnet.index(lease.address)).collect();
        used.sort_unstable();
        let mut hosts = self.subnet.hosts();
        let mut free = hosts.start;
        for index in used {
            if index == free {
                free += 1;
            }
        }
        hosts.start = free;
        hosts.next().map(|index| self.subnet.nth(index))
    }

    /// The name of the host's end for an address, which no other has and which tells whose it is.
    pub fn interface(&self, address: Ipv4Addr) -> String {
        format!("{}-{:x}", self.bridge, self.subnet.index(address))
    }

    pub fn ports(&self) -> Vec<(PortMapping, Ipv4Addr)> {
        let of = |lease: &Lease| lease.ports.iter().map(|port| (*port, lease.address)).collect::<Vec<_>>();
        self.leases.iter().flat_map(of).collect()
    }
}

/// The right to change the record and what it tells of, held until dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    lock: File,
    dir: PathBuf,
}

impl Guard {
    /// Waits for whoever has it.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::file("open", &path))?;
        rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive)).map_err(Error::file("lock", path))?;
        Ok(Self { lock, dir: dir.to_owned() })
    }

    pub fn load(&self) -> Result<Option<State>> {
        let path = self.dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let state = serde_json::from_slice(&bytes);
        state.map(Some).map_err(|error| Error::Damaged { path, why: error.to_string() })
    }

    pub fn save(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state).map_err(|error| Error::file("write", self.dir.join(FILE))(error))?;
        Ok(write_atomically(&self.dir, FILE, &bytes, Durability::Skip)?)
    }
}

impl Drop for Guard {
    /// A process that another thread has forked, and that has not got to its exec yet, holds the same open file.
    fn drop(&mut self) {
        _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(subnet: &str, used: &[u32]) -> State {
        let subnet: Subnet = subnet.parse().unwrap();
        let lease = |n: &u32| Lease {
            container: n.to_string(),
            address: subnet.nth(*n),
            interface: String::new(),
            ports: Vec::new(),
        };
        let leases = used.iter().map(lease).collect();
        State { mac: [2, 0, 0, 0, 0, 1], bridge: "harness0".into(), subnet, mtu: None, leases }
    }

    #[test]
    fn the_lowest_free_address_is_found() {
        let free = |used: &[u32]| state("10.0.0.0/29", used).free_address().map(|address| address.octets()[3]);
        assert_eq!(free(&[]), Some(2));
        assert_eq!(free(&[3, 2, 5]), Some(4));
        assert_eq!(free(&[2, 3, 4, 5]), Some(6));
        assert_eq!(free(&[6, 5, 4, 3, 2]), None);
    }

    #[test]
    fn names_of_interfaces_fit() {
        let mut state = state("172.30.0.0/16", &[]);
        state.bridge = "harness99".into();
        assert_eq!(state.interface(Ipv4Addr::new(172, 30, 255, 254)), "harness99-fffe");
        assert!(state.interface(Ipv4Addr::new(172, 30, 255, 254)).len() < 16);
    }

    #[test]
    fn the_record_is_kept_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::take(dir.path()).unwrap();
        assert_eq!(guard.load().unwrap(), None);
        let state = state("172.30.0.0/16", &[2, 9]);
        guard.save(&state).unwrap();
        assert_eq!(guard.load().unwrap(), Some(state));
        fs::write(dir.path().join(FILE), [0; 100]).unwrap();
        assert_eq!(guard.load().unwrap(), None);
        fs::write(dir.path().join(FILE), "{\"mac\":").unwrap();
        let message = guard.load().unwrap_err().to_string();
        assert!(message.contains("network.json is damaged"), "{message}");
    }
}
