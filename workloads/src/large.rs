//! A large tree of small files, and what can be changed in it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use storage_driver::{Change, ChangeKind};

use crate::{
    Error, Result,
    content::{Seed, When},
};

const TREE: &str = "tree";
/// Files in a directory.
const CROWD: u64 = 100;

/// So many files, of 100 to 4,000 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LargeTree {
    pub(crate) seed: Seed,
    pub(crate) files: u64,
}

/// What was changed, as the driver has to tell it.
pub(crate) type Changes = BTreeSet<Change>;

impl LargeTree {
    /// Makes it below `root`.
    pub(crate) fn make(&self, root: &Path) -> Result<()> {
        let make = |dir: PathBuf| fs::create_dir(&dir).map_err(Error::io("create", dir));
        make(root.join(TREE))?;
        (0..self.directories()).try_for_each(|number| make(root.join(directory(number))))?;
        (0..self.files)
            .try_for_each(|number| self.put(&root.join(file(number)), &format!("old {number}"), When::Made))?;
        (0..self.directories()).try_for_each(|number| When::Made.mark_directory(&root.join(directory(number))))?;
        When::Made.mark_directory(&root.join(TREE))
    }

    /// Entries of it, directories included.
    pub(crate) fn entries(&self) -> u64 {
        self.files + self.directories() + 1
    }

    /// Gives one file in the middle other content.
    pub(crate) fn change_one(&self, root: &Path) -> Result<Changes> {
        let number = self.files / 2;
        self.put(&root.join(file(number)), "new", When::Changed)?;
        Ok(Changes::from([Change::new(ChangeKind::Modified, file(number))]))
    }

    /// Changes `wanted` files spread over the whole tree: of ten, eight get other content, one goes, and one is new.
    pub(crate) fn change_many(&self, root: &Path, wanted: u64) -> Result<Changes> {
        let mut changes = Changes::new();
        let mut touched = BTreeSet::new();
        for turn in 0..wanted {
            let number = u64::try_from(u128::from(turn) * u128::from(self.files) / u128::from(wanted)).unwrap_or(turn);
            let (path, dir) = (file(number), directory(number / CROWD));
            let change = match turn % 10 {
                8 => {
                    fs::remove_file(root.join(&path)).map_err(Error::io("remove", root.join(&path)))?;
                    touched.insert(dir);
                    Change::new(ChangeKind::Deleted, path)
                }
                9 => {
                    let path = dir.join(format!("new-{number:06}"));
                    self.put(&root.join(&path), &format!("new {number}"), When::Changed)?;
                    touched.insert(dir);
                    Change::new(ChangeKind::Added, path)
                }
                _ => {
                    self.put(&root.join(&path), &format!("new {number}"), When::Changed)?;
                    Change::new(ChangeKind::Modified, path)
                }
            };
            changes.insert(change);
        }
        for dir in touched {
            When::Changed.mark_directory(&root.join(&dir))?;
            changes.insert(Change::new(ChangeKind::Modified, dir));
        }
        Ok(changes)
    }

    fn put(&self, path: &Path, key: &str, when: When) -> Result<()> {
        let fail = || Error::io("write", path);
        let content = self.seed.content(key);
        let len = 100 + u64::from_le_bytes(std::array::from_fn(|at| content.block(0)[at])) % 3_900;
        let mut file = File::create(path).map_err(fail())?;
        file.write_all(&content.block(0)[..len as usize]).map_err(fail())?;
        when.mark(&file).map_err(fail())
    }

    const fn directories(&self) -> u64 {
        self.files.div_ceil(CROWD)
    }
}

fn directory(number: u64) -> PathBuf {
    Path::new(TREE).join(format!("d{number:04}"))
}

fn file(number: u64) -> PathBuf {
    directory(number / CROWD).join(format!("f{number:06}"))
}

/// Fails on the first difference between what was changed and what the driver tells.
pub(crate) fn check_changes(expected: &Changes, found: &[Change]) -> Result<()> {
    let told: Changes = found.iter().cloned().collect();
    if told == *expected && found.len() == expected.len() {
        return Ok(());
    }
    let mut wrong = expected.symmetric_difference(&told);
    let first = wrong.next().map_or_else(|| "a change that is told twice".to_owned(), ToString::to_string);
    let expected = format!("the {} that were made", expected.len());
    Err(Error::effect("the changes of a layer", expected, format!("{}; first difference: {first}", found.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, walk};

    fn tree(dir: &Path, files: u64) -> LargeTree {
        let scratch = Scratch::new(dir.to_owned());
        Seed::keep(1, &scratch).unwrap();
        LargeTree { seed: Seed::of(&scratch).unwrap(), files }
    }

    #[test]
    fn it_has_what_it_says_and_changes_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path(), 250);
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        tree.make(&root).unwrap();
        assert_eq!(walk::entries(&root).unwrap().len() as u64, tree.entries());
        assert_eq!(tree.change_one(&root).unwrap().len(), 1);
        let changes = tree.change_many(&root, 100).unwrap();
        let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
        assert_eq!((of(ChangeKind::Added), of(ChangeKind::Deleted)), (10, 10));
        assert_eq!(of(ChangeKind::Modified), 80 + 3, "files, and the directories that lost or got some");
        for change in &changes {
            assert_eq!(root.join(&change.path).exists(), change.kind != ChangeKind::Deleted, "{change}");
        }
        assert_eq!(walk::entries(&root).unwrap().len() as u64, tree.entries());
    }

    #[test]
    fn a_change_that_is_missing_or_too_much_is_told() {
        let change = |path: &str| Change::new(ChangeKind::Modified, path);
        let expected = Changes::from([change("a"), change("b")]);
        check_changes(&expected, &[change("a"), change("b")]).unwrap();
        let wrong = [
            vec![change("a")],
            vec![change("a"), change("b"), change("c")],
            vec![change("a"), change("a"), change("b")],
        ];
        assert!(wrong.iter().all(|found| check_changes(&expected, found).is_err()));
    }
}
