//! What a step depends on, as one digest.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::Path,
};

use storage_layer::{Digest, DigestWriter};

/// Puts facts together; each with its length, so that none runs into the next.
pub struct KeyMaker(DigestWriter<io::Sink>);

/// Changes whenever the same step would make another layer.
const VERSION: &[u8] = b"3";

impl KeyMaker {
    pub fn new() -> Self {
        let mut maker = Self(DigestWriter::new(io::sink()));
        maker.add(VERSION);
        maker
    }

    pub fn add(&mut self, fact: &[u8]) {
        // Writing to a sink cannot fail.
        let _ = self.0.write_all(&(fact.len() as u64).to_le_bytes());
        let _ = self.0.write_all(fact);
    }

    /// With their number, so that a list does not run into the next one.
    pub fn add_list(&mut self, facts: &[String]) {
        self.add(&facts.len().to_le_bytes());
        facts.iter().for_each(|fact| self.add(fact.as_bytes()));
    }

    /// Kind, permissions and content of a file; times and owners are not part of it, as in docker.
    pub fn add_file(&mut self, name: &Path, path: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        self.add(name.as_os_str().as_bytes());
        self.add(&(found.permissions().mode() & 0o170_7777).to_le_bytes());
        if found.is_symlink() {
            self.add(fs::read_link(path)?.as_os_str().as_bytes());
        } else if found.is_file() {
            let _ = self.0.write_all(&found.len().to_le_bytes());
            io::copy(&mut File::open(path)?, &mut self.0)?;
        }
        Ok(())
    }

    /// Whom a file belongs to, where that is kept.
    pub fn add_owner(&mut self, path: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        self.add(&found.uid().to_le_bytes());
        self.add(&found.gid().to_le_bytes());
        Ok(())
    }

    pub fn finish(self) -> Digest {
        self.0.finish().1
    }
}
