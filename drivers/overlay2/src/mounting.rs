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

/// One layer's directory, by its path and by its short link.
#[derive(Debug, Clone)]
pub struct Dir<'a> {
    pub diff: PathBuf,
    pub link: &'a str,
}

impl Stack<'_> {
    /// Mounts with one `lowerdir+` a layer: no limit but the kernel's 500.
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
                    "{} bytes of options for {} layers; mount(2) takes {OPTIONS_LIMIT}",
                    options.len(),
                    self.lowers.len()
                ),
                source: std::io::Error::from(rustix::io::Errno::TOOBIG),
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

/// How many lowers one page holds beside an upper and these options.
pub fn lowers_in_a_page(options: &[&'static str]) -> usize {
    let link = "X".repeat(LENGTH);
    let upper = Dir { diff: PathBuf::new(), link: &link };
    let rest = Stack { lowers: Vec::new(), upper: Some(upper), options: options.to_vec() }.page().len();
    // Each lower but the last takes a colon with it.
    (OPTIONS_LIMIT + 1 - rest) / (LENGTH + 1)
}

fn refused(target: &Path, error: mount::FsContextError) -> Error {
    let log = if error.log.is_empty() { format!("at {}", error.step) } else { error.log };
    Error::Kernel { op: "mount", path: target.to_owned(), log, source: error.source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_counted_to_the_byte() {
        let options = ["index=off", "redirect_dir=nofollow", "metacopy=off", "userxattr", "volatile"];
        let count = lowers_in_a_page(&options);
        let link = "ABCDEFGH";
        let dir = || Dir { diff: PathBuf::new(), link };
        let page = |lowers: usize| {
            let lowers = (0..lowers).map(|_| dir()).collect();
            Stack { lowers, upper: Some(dir()), options: options.to_vec() }.page().len()
        };
        assert!(page(count) <= OPTIONS_LIMIT, "{}", page(count));
        assert!(page(count + 1) > OPTIONS_LIMIT);
        assert!(count > 400);
    }
}
