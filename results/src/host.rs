use std::{
    fs::{self, File},
    io::Read,
};

use serde::{Deserialize, Serialize};

/// What a machine is, as far as it moves measurements. Runs of different fingerprints are not comparable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// `uname -r`.
    pub kernel: String,
    /// Hash of the kernel's configuration, where it can be read.
    pub kernel_config: Option<String>,
    /// PRETTY_NAME of os-release(5).
    pub os: String,
    /// Machine type, such as `x86_64`.
    pub machine: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Memory, in bytes.
    pub memory: u64,
}

impl Fingerprint {
    /// This machine's. What cannot be read stays empty: a record is better than none.
    #[must_use]
    pub fn of_this_host() -> Self {
        let kernel = text("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            kernel_config: config(&kernel),
            kernel,
            os: field(&text("/etc/os-release"), "PRETTY_NAME=").trim_matches('"').to_owned(),
            machine: std::env::consts::ARCH.to_owned(),
            cpu: field(&text("/proc/cpuinfo"), "model name").trim_start_matches([' ', '\t', ':']).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory(&text("/proc/meminfo")),
        }
    }

    /// `2 CPUs`.
    pub(crate) fn processors(&self) -> String {
        if self.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", self.cpus) }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}

fn memory(meminfo: &str) -> u64 {
    let total = field(meminfo, "MemTotal:");
    total.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// /proc/config.gz is compressed reproducibly enough: equal files mean equal configurations.
fn config(kernel: &str) -> Option<String> {
    let paths = ["/proc/config.gz".to_owned(), format!("/boot/config-{kernel}")];
    let mut bytes = Vec::new();
    paths.iter().find_map(|path| File::open(path).ok())?.read_to_end(&mut bytes).ok()?;
    Some(format!("{:016x}", fnv1a(&bytes)))
}

/// FNV-1a: tells configurations apart, the same on every machine and in every version.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let meminfo = "MemTotal:       24595672 kB\nMemFree: 1 kB\n";
        assert_eq!(memory(meminfo), 24_595_672 * 1024);
        let here = Fingerprint::of_this_host();
        assert!(!here.kernel.is_empty() && here.memory > 0 && here.cpus > 0);
    }
}
