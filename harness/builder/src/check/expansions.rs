use std::cell::RefCell;

use crate::expand::Variables;

/// Variables that remember which ones were missed.
pub struct Watched<'a> {
    pub inner: &'a dyn Variables,
    missed: RefCell<Vec<String>>,
}

impl<'a> Watched<'a> {
    pub fn new(inner: &'a dyn Variables) -> Self {
        Self { inner, missed: RefCell::default() }
    }

    pub fn missed(self) -> Vec<String> {
        self.missed.into_inner()
    }
}

impl Variables for Watched<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.inner.get(name)
    }

    fn missed(&self, name: &str) {
        self.missed.borrow_mut().push(name.to_owned());
    }
}
