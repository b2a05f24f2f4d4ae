//! The modules that lead from a bare kernel to its root file system, in the order in which they load.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::{Error, Kernel, Result};

/// What the guest needs before it can read anything; the rest it loads from its root by modprobe(8).
const NEEDED: [&str; 6] = ["virtio_pci", "virtio_console", "virtio_blk", "9pnet_virtio", "9p", "overlay"];

/// Files, each after those it depends on.
pub fn load_order(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let dep = fs::read_to_string(kernel.modules.join("modules.dep")).unwrap_or_default();
    let built_in = fs::read_to_string(kernel.modules.join("modules.builtin")).unwrap_or_default();
    let order = order(&dep, &built_in, &NEEDED).map_err(|module| Error::NoModule {
        release: kernel.release.clone(),
        module: module.to_owned(),
        dir: kernel.modules.clone(),
    })?;
    Ok(order.into_iter().map(|file| kernel.modules.join(file)).collect())
}

/// modules.dep(5): `file: what it needs, ...`, where the last of a line is to be loaded first.
fn order<'a, 'm>(dep: &'a str, built_in: &str, needed: &[&'m str]) -> Result<Vec<&'a str>, &'m str> {
    let lines: BTreeMap<String, (&str, Vec<&str>)> = dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| (name(file), (file, needs.split_whitespace().collect())))
        .collect();
    let mut files: Vec<&str> = Vec::new();
    for module in needed {
        if let Some((file, needs)) = lines.get(*module) {
            for file in needs.iter().rev().chain([file]) {
                if !files.contains(file) {
                    files.push(file);
                }
            }
        } else if !built_in.lines().any(|file| name(file) == *module) {
            return Err(module);
        }
    }
    Ok(files)
}

/// `kernel/fs/9p/9p.ko.xz` is `9p`; dashes and underscores are the same.
fn name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_load_after_what_they_need() {
        let dep = "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n\
                   kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz\n\
                   kernel/fs/netfs/netfs.ko.xz:\n\
                   kernel/drivers/virtio/virtio-pci.ko:\n";
        let built_in = "kernel/fs/overlayfs/overlay.ko\n";
        assert_eq!(
            order(dep, built_in, &["virtio_pci", "9p", "overlay"]).unwrap(),
            [
                "kernel/drivers/virtio/virtio-pci.ko",
                "kernel/fs/netfs/netfs.ko.xz",
                "kernel/net/9p/9pnet.ko.xz",
                "kernel/fs/9p/9p.ko.xz",
            ]
        );
        assert_eq!(order(dep, built_in, &["9p", "virtio_blk"]), Err("virtio_blk"));
    }
}
