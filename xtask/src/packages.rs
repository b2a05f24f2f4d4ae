//! The Debian packages that the tests hold the product against, and what Debian does not have.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Package, and what the tests use it for.
const PACKAGES: &[(&str, &str)] = &[
    ("acl", "POSIX ACLs as another program writes them"),
    ("attr", "extended attributes as another program writes them"),
    ("busybox-static", "a whole user space in one file, for container tests"),
    ("btrfs-progs", "mkfs.btrfs for testbeds"),
    ("buildah", "builds the same Dockerfiles"),
    ("bzip2", "archives that ADD unpacks"),
    ("chromium", "opens reports as people do"),
    ("chromium-driver", "steers chromium"),
    ("crun", "runs the same containers as the runtime"),
    ("debootstrap", "a real Debian root file system to import"),
    ("dmsetup", "device-mapper as another program sees it"),
    ("e2fsprogs", "mkfs.ext4 for testbeds"),
    ("fio", "a job of the database workload"),
    ("g++", "compiles libFuzzer for the fuzz targets"),
    ("git", "repositories that ADD takes"),
    ("iproute2", "bridges and addresses as another program sees them"),
    ("libcap2-bin", "file capabilities as another program writes them"),
    ("linux-image-amd64", "a kernel with device-mapper for the lab"),
    ("linux-image-6.12-amd64", "another kernel for the lab, to compare the two"),
    ("make", "the host base image carries it"),
    ("python3", "tarfile reads what the layer codec writes"),
    ("python3-pandas", "reads a run as docs/reading-results.md has it"),
    ("python3-venv", "a place for DuckDB, which Debian does not have"),
    ("qemu-system-x86", "runs the lab's virtual machines"),
    ("runc", "runs the same containers as the runtime"),
    ("docker-registry", "images are pulled from it and pushed to it"),
    ("apache2-utils", "htpasswd, for a registry that asks for a password"),
    ("openssl", "the certificate of a registry in the tests"),
    ("skopeo", "reads the image store as an OCI layout"),
    ("strace", "counts system calls"),
    ("thin-provisioning-tools", "checks and dumps thin pools"),
    ("uidmap", "newuidmap, for user namespaces with many ids"),
    ("umoci", "unpacks images that were built"),
    ("util-linux", "unshare, setpriv, losetup"),
    ("xfsprogs", "mkfs.xfs for testbeds"),
    ("xz-utils", "archives that ADD unpacks"),
    ("zstd", "archives of images that are compressed as a whole"),
];

/// Engines that do the same work, and what they need beside themselves.
const PEERS: &[(&str, &str)] = &[
    ("docker.io", "dockerd and its command"),
    ("containerd", "containerd and ctr"),
    ("podman", "podman"),
    ("runc", "the runtime of all three: crun refuses machines with control groups of both versions"),
    ("e2fsprogs", "mkfs.ext4 for testbeds"),
    ("btrfs-progs", "mkfs.btrfs for testbeds"),
    ("tar", "unpacks the same files"),
];

/// A Python of this workspace's, with Debian's packages and those of PyPI that Debian does not have.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python");

/// Installs what the tests miss, or names it where that is not possible.
pub fn ensure() -> Result<()> {
    install(PACKAGES, "tests that use them will fail")?;
    if !has_duckdb() {
        println!("Installing duckdb from PyPI into target/python");
        if let Err(error) = install_duckdb() {
            println!("duckdb is missing; the test that uses it will fail: {error:#}");
        }
    }
    Ok(())
}

fn has_duckdb() -> bool {
    let imported =
        Command::new(format!("{PYTHON}/bin/python")).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
    imported.is_ok_and(|status| status.success())
}

/// Debian's Python, since its pandas is for no other.
fn install_duckdb() -> Result<()> {
    let run = |program: &str, args: &[&str]| {
        let status = Command::new(program).args(args).status().with_context(|| format!("cannot run {program}"))?;
        if status.success() { Ok(()) } else { bail!("{program} {}: {status}", args.join(" ")) }
    };
    run("/usr/bin/python3", &["-m", "venv", "--system-site-packages", PYTHON])?;
    run(&format!("{PYTHON}/bin/pip"), &["install", "--quiet", "--disable-pip-version-check", "duckdb"])
}

/// Installs the other engines, or names what is missing.
pub fn ensure_peers() -> Result<()> {
    install(PEERS, "engines without them are left out")
}

fn install(packages: &'static [(&str, &str)], otherwise: &str) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|(name, _)| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    if !rustix::process::geteuid().is_root() || !exists("apt-get") {
        println!("These packages are missing; {otherwise}:");
        for (name, purpose) in missing {
            println!("  {name:16} {purpose}");
        }
        println!("As root: apt-get install {}", names.join(" "));
        return Ok(());
    }
    println!("Installing {}", names.join(" "));
    apt(&["update", "-q"])?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(names);
    apt(&install)
}

fn apt(args: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    if !boots_from_here() {
        // The lab's kernel needs no initial RAM file system of Debian's, which takes a minute to make
        // (/etc/kernel/postinst.d/initramfs-tools).
        apt.env("INITRD", "No");
    }
    let status = apt.stdout(Stdio::null()).status().context("cannot run apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed: {status}", args.join(" "));
    }
    Ok(())
}

/// A machine that has a kernel already may be started with the next one that is installed.
fn boots_from_here() -> bool {
    let boot = std::fs::read_dir("/boot").into_iter().flatten().flatten();
    boot.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz"))
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
