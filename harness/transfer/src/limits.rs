//! What is accepted from outside at most. Real images stay far below.

use storage_driver::Bytes;
use storage_layer::Limits;

/// Bytes of a manifest or of a list of them (distribution-spec, "Pushing Manifests": registries should take 4 MiB).
pub const DOCUMENT: u64 = 4 << 20;

/// Bytes of an image's configuration: what the image store reads.
pub const CONFIGURATION: u64 = 16 << 20;

/// Layers of an image; docker makes none with more than 127.
pub const LAYERS: usize = 512;

/// Manifests in a list, or images in an archive.
pub const MANIFESTS: usize = 1024;

/// Tags of a repository.
pub const TAGS: usize = 100_000;

/// Answers that a list of tags comes in; docker.io sends a hundred with each.
pub const PAGES: usize = 1000;

/// Bytes of a layer as it is stored.
pub const LAYER: u64 = 1 << 40;

/// How deep lists may lead to further lists.
pub const NESTING: u32 = 4;

/// Values in a manifest, a list or a configuration. Each takes a byte or two there, and a hundred times as much in memory.
pub const VALUES: usize = 100_000;

/// Refuses JSON of more than [`VALUES`] before it is read.
pub fn values(json: &[u8]) -> Result<(), String> {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    if count <= VALUES { Ok(()) } else { Err(format!("it has {count} values, more than {VALUES}")) }
}

/// Of an archive of images: its entries stay in memory by name until the end.
pub fn archive() -> Limits {
    Limits {
        entries: 16 * 1024,
        directories: 16 * 1024,
        size: Bytes(1 << 42),
        file_size: Bytes(LAYER),
        path: 512,
        extended_header: 64 << 10,
        xattrs: 64,
        sparse_segments: 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        let many = |one: &str| format!("[{}0]", one.repeat(VALUES)).into_bytes();
        for over in ["0,", "{},", "[],"] {
            assert!(values(&many(over)).unwrap_err().contains("values, more than 100000"));
        }
        assert_eq!(values(&many(r#"",[{","#)[..VALUES]), Ok(()));
        assert_eq!(values(format!(r#"["\"{}"]"#, ",".repeat(VALUES + 1)).as_bytes()), Ok(()));
        assert_eq!(values(b"no json"), Ok(()));
    }
}
