use std::{
    collections::BTreeSet,
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    sync::{Mutex, PoisonError},
};

use storage_driver::Skipped;

/// More are not kept: a hostile tar could make millions.
const MOST: usize = 10_000;

/// What had to be left out, noted by several threads.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeSet<(Vec<u8>, &'static str)>>);

impl Notes {
    pub fn skip(&self, path: &[u8], why: &'static str) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST {
            notes.insert((path.to_vec(), why));
        }
    }

    pub fn finish(self) -> Vec<Skipped> {
        let notes = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        notes.into_iter().map(|(path, why)| Skipped { path: OsString::from_vec(path).into(), why }).collect()
    }
}
