use std::{
    cmp::Ordering,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A kernel to boot, with its modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub(crate) image: PathBuf,
    pub(crate) release: String,
    pub(crate) modules: PathBuf,
}

const BOOT: &str = "/boot";
const PREFIX: &str = "vmlinuz-";

impl Kernel {
    /// Finds what a person names: a path, a version such as `6.1` (the newest installed one of it), or nothing (the newest).
    ///
    /// # Errors
    /// [`Error::NoKernel`] with the package to install; [`Error::NotAKernel`]; [`Error::Io`] when it cannot be read.
    pub fn find(wanted: Option<&str>) -> Result<Self> {
        match wanted {
            Some(path) if path.contains('/') => Self::at(Path::new(path)),
            version => Self::installed(Path::new(BOOT), version),
        }
    }

    /// `uname -r` in the guest.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    fn at(path: &Path) -> Result<Self> {
        let image = fs::canonicalize(path).map_err(Error::io("open the kernel", path))?;
        let release = release(&image)?;
        // A package that was only unpacked has its modules beside its kernel: boot/vmlinuz-X and lib/modules/X.
        let beside = image.parent().and_then(Path::parent).map(|root| root.join("lib/modules").join(&release));
        let modules = beside.filter(|dir| dir.is_dir()).unwrap_or_else(|| Path::new("/lib/modules").join(&release));
        Ok(Self { image, release, modules })
    }

    fn installed(boot: &Path, version: Option<&str>) -> Result<Self> {
        let mut have: Vec<String> = fs::read_dir(boot)
            .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
            .unwrap_or_default();
        have.retain(|name| name.starts_with(PREFIX));
        let mut have: Vec<String> = have.iter().map(|name| name[PREFIX.len()..].to_owned()).collect();
        have.sort_by(|a, b| compare(a, b));
        let newest = have.iter().rev().find(|release| version.is_none_or(|version| is_of(release, version)));
        match newest {
            Some(release) => Self::at(&boot.join(format!("{PREFIX}{release}"))),
            None => Err(Error::NoKernel {
                wanted: version.unwrap_or("at all").to_owned(),
                dir: boot.to_owned(),
                package: package(version),
                have,
            }),
        }
    }
}

/// The distribution's own kernel, or one of a named series as Debian names its backports.
fn package(version: Option<&str>) -> String {
    let series = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
    version.map_or_else(
        || "linux-image-amd64".to_owned(),
        |version| format!("linux-image-{}-amd64 (or linux-image-amd64, the release's own)", series(version)),
    )
}

/// 6.1 is the series of 6.1.0-56-amd64, and not of 6.12.
fn is_of(release: &str, version: &str) -> bool {
    release.strip_prefix(version).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// By numbers where there are numbers: 6.1.0-9 comes before 6.1.0-10, and 6.9 before 6.12.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        text.split(['.', '-', '+'])
            .map(|part| {
                let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
                (part[..digits].parse().unwrap_or(0), part[digits..].to_owned())
            })
            .collect()
    };
    parts(a).cmp(&parts(b))
}

/// The version that the image itself states (kernel: Documentation/arch/x86/boot.rst, "kernel_version").
fn release(image: &Path) -> Result<String> {
    const MAGIC: u64 = 0x202;
    const KERNEL_VERSION: u64 = 0x20e;
    let file = File::open(image).map_err(Error::io("open the kernel", image))?;
    let not = |why| Error::NotAKernel { path: image.to_owned(), why };
    let mut magic = [0; 4];
    let mut pointer = [0; 2];
    let read = file.read_exact_at(&mut magic, MAGIC).and_then(|()| file.read_exact_at(&mut pointer, KERNEL_VERSION));
    read.map_err(|_| not("it is too short"))?;
    if magic != *b"HdrS" {
        return Err(not("it has no x86 boot header"));
    }
    let mut text = [0; 256];
    let read = file.read_at(&mut text, u64::from(u16::from_le_bytes(pointer)) + 0x200);
    let text = &text[..read.map_err(Error::io("read", image))?];
    let text = text.split(|&byte| byte == 0 || byte == b' ').next().unwrap_or_default();
    match str::from_utf8(text) {
        Ok(release) if is_release(release) => Ok(release.to_owned()),
        _ => Err(not("it does not state its version")),
    }
}

/// It becomes part of paths, so it must be one component.
fn is_release(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(path: &Path, release: &str) {
        let mut bytes = vec![0; 0x1000];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20e..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
        let text = format!("{release} (someone@somewhere) #1");
        bytes[0x600..0x600 + text.len()].copy_from_slice(text.as_bytes());
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_version_means_the_newest_of_its_series() {
        let dir = tempfile::tempdir().unwrap();
        for release in ["6.1.0-9-amd64", "6.1.0-56-amd64", "6.12.117+deb12-amd64", "6.9.7-amd64"] {
            image(&dir.path().join(format!("vmlinuz-{release}")), release);
        }
        let find = |version| Kernel::installed(dir.path(), version).map(|kernel| kernel.release);
        assert_eq!(find(Some("6.1")).unwrap(), "6.1.0-56-amd64");
        assert_eq!(find(Some("6.12")).unwrap(), "6.12.117+deb12-amd64");
        assert_eq!(find(Some("6.1.0-9-amd64")).unwrap(), "6.1.0-9-amd64");
        assert_eq!(find(None).unwrap(), "6.12.117+deb12-amd64");
        let missing = find(Some("5.10")).unwrap_err().to_string();
        assert!(missing.contains("apt-get install") && missing.contains("linux-image-5.10-amd64"), "{missing}");
        assert!(missing.contains("6.9.7-amd64"), "{missing}");
    }

    #[test]
    fn modules_beside_an_unpacked_kernel_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join("lib/modules/7.0");
        fs::create_dir_all(&modules).unwrap();
        fs::create_dir(dir.path().join("boot")).unwrap();
        image(&dir.path().join("boot/vmlinuz-7.0"), "7.0");
        let kernel = Kernel::find(dir.path().join("boot/vmlinuz-7.0").to_str()).unwrap();
        assert_eq!(kernel.modules, fs::canonicalize(modules).unwrap());
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vmlinuz");
        fs::write(&file, "short").unwrap();
        assert!(matches!(Kernel::at(&file), Err(Error::NotAKernel { .. })));
        image(&file, "../../etc");
        assert!(matches!(Kernel::at(&file), Err(Error::NotAKernel { .. })));
        fs::write(&file, vec![0; 4096]).unwrap();
        assert!(matches!(Kernel::at(&file), Err(Error::NotAKernel { .. })));
    }
}
