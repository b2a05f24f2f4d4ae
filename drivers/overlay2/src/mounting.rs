//! One overlay mount, by either set of system calls.

use std::path::{Path, PathBuf};

use rustix::mount::{MountAttrFlags, MountFlags};
use storage_driver::{Error, Result};
use storage_sys::mount::{self, FsContext, OPTIONS_LIMIT};

use crate::links::LENGTH;

/// A stack to be mounted. Lowers are topmost first.
#[derive(Debug)]
pub struct Stack<'a> {
    pub lowers: Vec<Dir<'a>>,
    /// The layer that writes go to; a stack without one is read-only.
    pub upper: Option<Dir<'a>>,
    pub options: Vec<&'static str>,
}

/// One layer's directory, by its path and by its name as seen from the directory of links.
#[derive(Debug, Clone)]
pub struct Dir<'a> {
    pub diff: PathBuf,
    pub link: &'a str,
}

impl Stack<'_> {
    /// Mounts with one `lowerdir+` a layer: no limit but the kernel's.
    pub fn mount_by_context(&self, target: &Path) -> Result<()> {
        let context = FsContext::new("overlay").map_err(Error::io("mount", target))?;
        let build = || {
            context.set("source", "overlay")?;
            for lower in &self.lowers {
                context.set_path("lowerdir+", &lower.diff)?;
            }
            if let Some(upper) = &self.upper {
                context.set_path("upperdir", &upper.diff)?;
                context.set_path("workdir", &upper.diff.with_file_name("work"))?;
            }
            for option in &self.options {
                match option.split_once('=') {
                    Some((name, value)) => context.set(name, value)?,
                    None => context.set_flag(option)?,
                }
            }
            Ok(())
        };
        let attributes = if self.upper.is_some() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
        build().and_then(|()| context.mount_at(target, attributes)).map_err(|error| refused(target, error))
    }

    /// Mounts with mount(2) from within the directory of links.
    pub fn mount_by_page(&self, links: &Path, target: &Path) -> Result<()> {
        let options = self.page();
        if options.len() > OPTIONS_LIMIT {
            return Err(Error::Kernel {
                op: "mount",
                path: target.to_owned(),
                log: format!(
                    "{} layers need {} bytes of options, and mount(2) takes {OPTIONS_LIMIT}",
                    self.lowers.len(),
                    options.len()
                ),
                source: rustix::io::Errno::TOOBIG.into(),
            });
        }
        let flags = if self.upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
        mount::mount_in_directory(links, "overlay", target, flags, &options).map_err(Error::io("mount", target))
    }

    fn page(&self) -> String {
        let lowers: Vec<_> = self.lowers.iter().map(|lower| lower.link).collect();
        let mut page = format!("lowerdir={}", lowers.join(":"));
        if let Some(Dir { link, .. }) = &self.upper {
            // The link leads to the diff directory, and the kernel follows it before it takes the "..".
            page.push_str(&format!(",upperdir={link},workdir={link}/../work"));
        }
        for option in &self.options {
            page.push(',');
            page.push_str(option);
        }
        page
    }
}

/// How many layers fit into one page, whether all of them are lowers or the topmost is the upper.
pub fn layers_in_a_page(options: &[&'static str]) -> usize {
    let link = "X".repeat(LENGTH);
    let page = |layers: usize, writable: bool| {
        let dir = || Dir { diff: PathBuf::new(), link: &link };
        let lowers = layers - usize::from(writable);
        Stack { lowers: (0..lowers).map(|_| dir()).collect(), upper: writable.then(dir), options: options.to_vec() }
            .page()
            .len()
    };
    // With the lengths of two layers all others are known: each takes its name and a colon.
    let fit = |writable| 2 + OPTIONS_LIMIT.saturating_sub(page(2, writable)) / (LENGTH + 1);
    fit(true).min(fit(false))
}

fn refused(target: &Path, error: mount::FsContextError) -> Error {
    let log = if error.log.is_empty() { format!("at {}", error.step) } else { error.log };
    Error::Kernel { op: "mount", path: target.to_owned(), log, source: error.source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::LONGEST;

    #[test]
    fn the_page_is_counted_to_the_byte() {
        let most = layers_in_a_page(&LONGEST);
        let link = "ABCDEF";
        let dir = || Dir { diff: PathBuf::new(), link };
        let page = |layers: usize, writable: bool| {
            let lowers = (usize::from(writable)..layers).map(|_| dir()).collect();
            Stack { lowers, upper: writable.then(dir), options: LONGEST.to_vec() }.page().len()
        };
        assert!(page(most, true) <= OPTIONS_LIMIT && page(most, false) <= OPTIONS_LIMIT);
        assert!(page(most + 1, true) > OPTIONS_LIMIT);
        assert!(most > 500, "only {most} layers fit, and the kernel stacks 500");
    }

    #[test]
    fn what_does_not_fit_a_page_never_reaches_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let lowers = (0..700).map(|_| Dir { diff: PathBuf::new(), link: "ABCDEF" }).collect();
        let stack = Stack { lowers, upper: None, options: Vec::new() };
        let refused = stack.mount_by_page(dir.path(), dir.path()).unwrap_err();
        assert!(refused.to_string().contains("700 layers need 4908 bytes"), "{refused}");
    }
}
