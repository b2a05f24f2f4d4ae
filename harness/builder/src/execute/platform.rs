//! Platforms by the names of Go's GOOS and GOARCH (image-spec config.md).

/// `linux/amd64`.
pub fn ours() -> String {
    format!("linux/{}", architecture())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Whether a name means what this machine runs; containerd's normal forms are known.
pub fn is_ours(name: &str) -> bool {
    let mut parts = name.split('/');
    let (os, arch) = match (parts.next(), parts.next()) {
        (Some(os), Some(arch)) => (os, arch),
        (Some("linux"), None) => return true,
        (Some(arch), None) => ("linux", arch),
        (None, _) => return false,
    };
    let arch = match arch {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    };
    os == "linux" && arch == architecture()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_ours() {
        assert!(is_ours(&ours()) && is_ours("linux"));
        assert!(!is_ours("windows/amd64") && !is_ours("linux/s390x") && !is_ours("plan9"));
    }
}
