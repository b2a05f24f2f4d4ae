//! The guest's first file system, made for one boot.

use std::{fs, path::Path};

use crate::{Error, Job, Kernel, Result, cpio::Archive, modules, tools};

const FIRST: &str = include_str!("guest/first.sh");
const SECOND: &str = include_str!("guest/second.sh");

/// Writes the archive to `path`.
pub fn write(path: &Path, kernel: &Kernel, job: &Job) -> Result<()> {
    let busybox = tools::find("busybox", "busybox-static")?;
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "lower", "modules", "new", "proc", "sys", "writes"] {
        archive.directory(dir);
    }
    archive.file("bin/busybox", &read(&busybox)?);
    archive.file("init", FIRST.as_bytes());
    archive.file("second.sh", SECOND.as_bytes());
    archive.file("job.sh", &job.script(kernel.modules.as_os_str()));
    let mut order = String::new();
    for (index, file) in modules::load_order(kernel)?.iter().enumerate() {
        let (name, content) = module(file)?;
        let name = format!("{index:02}-{name}");
        archive.file(&format!("modules/{name}"), &content);
        order = order + &name + "\n";
    }
    archive.file("modules/order", order.as_bytes());
    fs::write(path, archive.finish()).map_err(Error::io("write", path))
}

/// The guest's busybox unpacks xz and gzip, and does not know zstd.
fn module(file: &Path) -> Result<(String, Vec<u8>)> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let content = read(file)?;
    match name.strip_suffix(".zst") {
        Some(name) => Ok((name.to_owned(), zstd::decode_all(&*content).map_err(Error::io("unpack", file))?)),
        None => Ok((name.into_owned(), content)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}
