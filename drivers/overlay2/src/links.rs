//! `l/`: a short symlink for every layer's diff directory.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use storage_driver::{Error, LayerId, Leftover, Result};

/// Characters of a link's name: so few that the 500 layers which the kernel stacks fit into one page, and so many
/// (32^6 names) that a name is hardly ever drawn twice.
pub const LENGTH: usize = 6;

const DIRECTORY: &str = "l";

/// The directory of links.
#[derive(Debug)]
pub struct Links(PathBuf);

impl Links {
    pub fn open(root: &Path) -> Result<Self> {
        let dir = root.join(DIRECTORY);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create", dir)(error)),
            _ => Ok(Self(dir)),
        }
    }

    /// Where links are resolved from.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    pub fn path(&self, link: &str) -> PathBuf {
        self.0.join(link)
    }

    /// Makes a link with a new name to a layer's diff directory.
    pub fn add(&self, id: &LayerId) -> Result<String> {
        loop {
            let link = random_name()?;
            match symlink(target(id), self.path(&link)) {
                Ok(()) => return Ok(link),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("link", self.path(&link))(error)),
            }
        }
    }

    pub fn remove(&self, link: &str) -> Result<()> {
        match fs::remove_file(self.path(link)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", self.path(link))(error)),
            _ => Ok(()),
        }
    }

    /// Makes the links again that a crash lost, and removes those that no layer has.
    pub fn repair(&self, layers: &BTreeMap<String, LayerId>) -> Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(Error::io("read", &self.0))? {
            let path = entry.map_err(Error::io("read", &self.0))?.path();
            let known = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| layers.contains_key(name));
            if !known {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                leftovers.push(Leftover { kind: "link", path });
            }
        }
        for (link, id) in layers {
            let (path, target) = (self.path(link), target(id));
            if fs::read_link(&path).ok().as_deref() != Some(&target) {
                self.remove(link)?;
                symlink(&target, &path).map_err(Error::io("link", &path))?;
                leftovers.push(Leftover { kind: "lost link", path });
            }
        }
        Ok(leftovers)
    }
}

fn target(id: &LayerId) -> PathBuf {
    Path::new("../layers").join(id.as_str()).join("diff")
}

/// Letters and digits without `:` and `,`, which mount(2) would read as separators.
fn random_name() -> Result<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0; LENGTH];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(Error::io("draw", "random numbers"))?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_links_come_back_and_strays_go() {
        let dir = tempfile::tempdir().unwrap();
        let links = Links::open(dir.path()).unwrap();
        let id = LayerId::new("base").unwrap();
        let link = links.add(&id).unwrap();
        assert_eq!(link.len(), LENGTH);
        let layers = BTreeMap::from([(link.clone(), id)]);
        assert!(links.repair(&layers).unwrap().is_empty());

        fs::remove_file(links.path(&link)).unwrap();
        symlink("nowhere", links.path("STRAY")).unwrap();
        assert_eq!(links.repair(&layers).unwrap().len(), 2);
        assert_eq!(fs::read_link(links.path(&link)).unwrap(), Path::new("../layers/base/diff"));
        assert!(!links.path("STRAY").is_symlink());
    }
}
